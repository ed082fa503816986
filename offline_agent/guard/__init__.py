"""The only hands: what the rules decide, what the kernel confines, what can be undone."""
