"""On the path of every Python that joblib's tests start, workers included."""

import loky_is_pyhost  # noqa: F401
