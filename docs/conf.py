"""Configuration of the documentation."""

import warnings

import sklogit

project = "sklogit"
author = "The sklogit developers"
copyright = "2026, The sklogit developers"
release = version = sklogit.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "auto_examples/*.ipynb", "_acm_verdict.rst"]
autosummary_generate = True
autosummary_ignore_module_all = False
templates_path = ["_templates"]
html_static_path = ["_static"]
html_css_files = ["sklogit.css"]
# The methods of our own classes, those of private bases among them; what scikit-learn,
# torch, skorch and MOABB add is documented there.
_FOREIGN = (
    "BaseEstimator, TransformerMixin, ClassifierMixin, CallbackSupportMixin, "
    "RegressorMixin, LinearClassifierMixin, SparseCoefMixin, Optimizer, "
    "NeuralNetRegressor, "
    "ClassNamePrefixFeaturesOutMixin, Module, NeuralNet, NeuralNetClassifier, "
    "BaseDataset, Parameter, Tensor, TensorBase"
)
_ROUTING = ", ".join(
    [
        f"set_{method}_request"
        for method in (
            *("fit", "partial_fit", "predict", "score", "transform"),
            *("predict_proba", "predict_log_proba", "decision_function", "split"),
        )
    ]
    + ["get_metadata_routing", "set_output", "get_params", "set_params"]
)
autodoc_default_options = {
    "members": True,
    "inherited-members": _FOREIGN,
    "exclude-members": _ROUTING,
}
numpydoc_show_class_members = False

html_theme = "pydata_sphinx_theme"
html_title = f"sklogit {version}"
html_theme_options = {
    "show_prev_next": False,
    "navbar_align": "left",
    "secondary_sidebar_items": ["page-toc"],
}
html_sidebars = {"benchmarks": [], "contributing": [], "changelog": []}

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": r"/plot_",
    "ignore_pattern": r"/quickstart",
    "doc_module": "sklogit",
    "backreferences_dir": "api/backreferences",
    "show_memory": False,
    "remove_config_comments": True,
    "plot_gallery": True,
    "abort_on_example_error": True,
}

# The gallery draws without a screen; that figures cannot be shown is no news there.
warnings.filterwarnings("ignore", message=".*cannot be shown.*", category=UserWarning)
