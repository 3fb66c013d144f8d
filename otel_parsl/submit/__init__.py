"""What runs in the submit process while a run goes on."""
