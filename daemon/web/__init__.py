"""What the daemon and `stillwatch review` serve over HTTP."""
