"""On the path of every Python that joblib's tests start, workers included."""

import loky_is_pyhost

loky_is_pyhost.install()
