"""First scan wins: the gates' claims, what becomes of grants, and tickets that entered twice."""
