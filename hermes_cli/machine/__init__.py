"""What this machine allows: builds that work, memory, threads, speed."""
