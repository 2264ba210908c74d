"""Tells what files hold, before anything is made of them, and what came out."""
