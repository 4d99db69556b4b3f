"""Jobs on S3 from a desk: `make job` starts and follows one, `make redrive` puts failed uploads back."""
