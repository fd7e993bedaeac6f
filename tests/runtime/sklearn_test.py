"""scikit-learn's estimators with `n_jobs` on pyhost's workers: the same results as in one process."""

import os
import pathlib
import sys
import unittest
import warnings

sys.path.insert(0, str(pathlib.Path(os.environ["PYHOST_RUNTIME"]) / "python"))

import joblib  # noqa: E402
import numpy  # noqa: E402
from sklearn import (datasets, ensemble, inspection, linear_model, model_selection, multiclass,  # noqa: E402
                     pipeline, preprocessing)

import pyhost  # noqa: E402
from pyhost import _joblib_pools  # noqa: E402


def setUpModule():
    pyhost.register_joblib()
    warnings.simplefilter("ignore")


def tearDownModule():
    _joblib_pools.close()


class Estimators(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.x, cls.y = datasets.make_classification(600, 12, random_state=3)

    def assert_same(self, compute):
        """What `compute(n_jobs)` returns is the same with and without workers."""
        alone = compute(1)
        with joblib.parallel_backend("pyhost"):
            numpy.testing.assert_array_equal(alone, compute(2))

    def test_cross_val_score(self):
        model = pipeline.make_pipeline(preprocessing.StandardScaler(), linear_model.LogisticRegression())
        self.assert_same(lambda n: model_selection.cross_val_score(model, self.x, self.y, cv=4, n_jobs=n))

    def test_grid_search(self):
        def search(n_jobs):
            found = model_selection.GridSearchCV(linear_model.LogisticRegression(), {"C": [0.01, 1, 100]}, cv=3,
                                                 n_jobs=n_jobs)
            return found.fit(self.x, self.y).cv_results_["mean_test_score"]

        self.assert_same(search)

    def test_forests_share_memory_and_so_stay_in_threads(self):
        self.assert_same(lambda n: ensemble.RandomForestClassifier(20, random_state=1, n_jobs=n).fit(self.x, self.y)
                         .predict_proba(self.x))

    def test_search_over_forests_with_jobs_of_their_own(self):
        def search(n_jobs):
            forest = ensemble.RandomForestClassifier(random_state=1, n_jobs=2)
            found = model_selection.GridSearchCV(forest, {"n_estimators": [5, 10]}, cv=2, n_jobs=n_jobs)
            return found.fit(self.x, self.y).cv_results_["mean_test_score"]

        self.assert_same(search)

    def test_permutation_importance(self):
        model = linear_model.LogisticRegression().fit(self.x, self.y)
        self.assert_same(lambda n: inspection.permutation_importance(model, self.x, self.y, n_repeats=3, random_state=5,
                                                                     n_jobs=n).importances)

    def test_classes_one_by_one_with_data_that_is_shared(self):
        x = numpy.random.default_rng(1).normal(size=(4000, 40))  # 1.2 MiB: more than max_nbytes
        y = (x[:, 0] > 0) + (x[:, 1] > 0)
        self.assert_same(lambda n: multiclass.OneVsRestClassifier(linear_model.LogisticRegression(), n_jobs=n)
                         .fit(x, y).predict(x))

    def test_bagging_and_results_that_can_be_written_to(self):
        with joblib.parallel_backend("pyhost"):
            model = ensemble.BaggingClassifier(n_estimators=4, random_state=1, n_jobs=2).fit(self.x, self.y)
            found = model.predict_proba(self.x)

        found += 1
        numpy.testing.assert_array_equal(
            found - 1, ensemble.BaggingClassifier(n_estimators=4, random_state=1).fit(self.x, self.y)
            .predict_proba(self.x))


if __name__ == "__main__":
    unittest.main()
