"""The command line: argument parsing, tables, progress and exit codes; the work is done by the floors below."""
