"""What the command line does beside the stages, one file a command."""
