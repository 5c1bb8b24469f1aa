"""The limits of this machine: builds that work, memory, threads, speed."""
