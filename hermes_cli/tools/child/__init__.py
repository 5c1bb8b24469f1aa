"""Code that runs tools in a child process, and our end of the pipe to it."""
