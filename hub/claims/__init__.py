"""First scan wins: the gates' claims, unused grants, and tickets admitted twice."""
