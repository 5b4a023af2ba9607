"""Films are scored on other machines, by Ray: the same code there, the one writer here."""
