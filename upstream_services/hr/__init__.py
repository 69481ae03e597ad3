"""HR: people, their time, their pay, hiring and growth."""
