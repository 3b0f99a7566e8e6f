"""`python -m bench.job`."""

from bench.job.campaign import main

if __name__ == "__main__":
    main()
