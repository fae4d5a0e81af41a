"""What was made of what: the code and inputs of each job, records, workspaces, clones."""
