"""Many runs at once: jobs, processes, progress, and how long it takes; `ray` is for clusters."""
