"""The controllers: each makes what is look like what is wanted, over and over."""
