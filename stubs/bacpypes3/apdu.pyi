class ErrorRejectAbortNack(BaseException): ...  # not an Exception
