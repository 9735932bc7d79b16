"""State the emulator keeps: accounts, jobs, files and the clock."""
