"""The frozen values that everything else talks about; knows pydantic and nothing else."""
