"""One module for each group of commands. They import what is heavy inside the command that needs it."""
