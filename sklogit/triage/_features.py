"""Features of reports: place, dates, notes, numbers and pictures in one matrix."""

from sklearn import config_context
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder

from ._categories import CategoryNames
from ._date_features import DateFeatures
from ._notes import NoteFeatures, NoteLength
from ._numbers import NumberFeatures

LOCATION = "location"
_RATES = "rates"


def make_features(layout, encoder, text_vectorizer, *, dense=False):
    """Return the column transformer of a layout, unfitted.

    Parameters
    ----------
    layout : Layout
        Columns.
    encoder : SpatioTemporalRateEncoder or None
        Encoder of the place, with its columns set; None for no such features.
    text_vectorizer : estimator or None
        Vectorizer of each text column.
    dense : bool, default=False
        Whether the classifier cannot use sparse features.

    Returns
    -------
    ColumnTransformer
        Dense features are standardised.
    """
    blocks = []
    if encoder is not None and layout.has_location:
        steps = [(_RATES, encoder), ("numbers", NumberFeatures())]
        blocks.append((LOCATION, Pipeline(steps), layout.place))
    if layout.dates:
        blocks.append(("dates", _standardised(DateFeatures()), layout.dates))
    for i, column in enumerate(layout.text):
        number = i + 1 if len(layout.text) > 1 else ""
        blocks += [
            (f"text{number}", NoteFeatures(text_vectorizer), column),
            (f"note{number}", _standardised(NoteLength()), column),
        ]
    blocks += [
        ("numeric", NumberFeatures(), list(layout.numeric)),
        ("probability", NumberFeatures(True), list(layout.probabilities)),
        ("image", NumberFeatures(), list(layout.image)),
        ("category", _one_hot(), list(layout.categorical)),
    ]
    blocks = [block for block in blocks if block[2] != []]
    if not blocks:
        raise ValueError(
            "There is no feature: name columns of text, numeric, categorical, "
            "probabilities or image, or keep the encoder of the location."
        )
    return ColumnTransformer(blocks, sparse_threshold=0.0 if dense else 1.0)


def _standardised(transformer):
    return Pipeline([("values", transformer), ("numbers", NumberFeatures())])


def _one_hot():
    # A category that training has not seen is none of those it has.
    one_hot = OneHotEncoder(handle_unknown="ignore")
    return Pipeline([("names", CategoryNames()), ("one_hot", one_hot)])


def encoder_for(layout, encoder):
    """Return a clone of an encoder that finds its columns behind each other."""
    encoder = clone(encoder)
    time = layout.submitted if isinstance(layout.submitted, str) else 2
    return encoder.set_params(
        latitude=_name_or(layout.latitude, 0),
        longitude=_name_or(layout.longitude, 1),
        time=None if layout.submitted is None else time,
    )


def _name_or(column, position):
    return column if isinstance(column, str) else position


def fit_features(features, X, codes, sample_weight):
    """Fit the features, and return those of X, without own verdicts."""
    features.set_output(transform="default")
    if sample_weight is None:
        return features.fit_transform(X, codes)
    # Weights reach what can use them by metadata routing, which is on for this call
    # alone: users of the classifier need not know of it.
    with config_context(enable_metadata_routing=True):
        for _, transformer, _ in features.transformers:
            _request_weight(transformer)
        return features.fit_transform(X, codes, sample_weight=sample_weight)


def _request_weight(transformer):
    steps = [transformer]
    if isinstance(transformer, Pipeline):
        steps = [step for _, step in transformer.steps]
    for step in steps:
        for method in ("set_fit_request", "set_fit_transform_request"):
            if hasattr(step, method):
                getattr(step, method)(sample_weight=True)


def rate_encoder_of(features):
    """Return the fitted encoder of the place, or None."""
    block = features.named_transformers_.get(LOCATION)
    return None if block is None else block.named_steps[_RATES]
