"""Training and scoring on several machines, by Ray: for those who outgrow one."""
