"""The Grassmann head: logits that are lengths of projections onto subspaces."""

import warnings

import numpy as np
import torch
from sklearn.utils import check_random_state
from torch import nn
from torch.nn import functional as F

from ..subspace._geometry import principal_angles
from ..subspace._start import principal_subspaces
from ._checks import check_positive, check_sizes
from ._grassmann_parameter import GrassmannParameter
from ._orthonormal import is_orthonormal, orthonormalize, packed

_MOST_DIMENSIONS = 8


class GrassmannHead(nn.Module):
    r"""Length of the projection of the features onto a subspace for each class.

    .. math:: z_{ic} = \gamma \, \Big| S_c^\top \frac{h_i}{|h_i|} \Big|

    with :math:`S_c` of shape (in_features, k) and orthonormal columns [1]_. The logit
    depends on the subspace only, not on its basis: it is :math:`\gamma` times the
    cosine of the angle between the features and the subspace. Features of a class may
    vary within its subspace, which makes them more useful for other classes.

    Parameters
    ----------
    in_features : int
        Number of features.
    num_classes : int
        Number of classes.
    subspace_dim : int or "auto", default=8
        Dimension k of the subspaces, less than `in_features`: otherwise each would be
        the whole space, and all logits equal. "auto" is half of `in_features`, and 8 at
        most.
    gamma : float, default=25.0
        The largest logit, :math:`\gamma`.
    normalize : bool, default=True
        Whether features are divided by their norm.
    init : "random" or Tensor of shape (num_classes, in_features, k), default="random"
        Subspaces to start from. Those of "random" are uniformly distributed. Bases that
        are not orthonormal are made so, with a warning.

    Attributes
    ----------
    subspaces : GrassmannParameter of shape (num_classes, in_features, k)
        The bases. In memory the columns of all bases are the rows of one matrix, so
        that logits need one matrix product and no copy.

    See Also
    --------
    sklogit.optim.GrassmannSGD : Trains it, with the module in front of it.
    sklogit.optim.GrassmannAdamW : The same, with AdamW for all other parameters.
    sklogit.subspace.GrassmannClassifier : For arrays, without torch.
    CosineHead : One direction for each class.

    Notes
    -----
    Only optimisers that know the tag ``subspaces.manifold`` keep the bases orthonormal:
    others must not be given them. :class:`~sklogit.neural.LogitClassifier` sees to it.

    Logits are not negative, and those of h and -h are equal. The gradient of the length
    of a projection is 0 where the length is; features of length 0 have logits of 0 and
    no gradient.

    Logits have the dtype of the bases, or that of autocast's norms, float32. Bases
    should be float32 or float64: in half precision they are not orthonormal.

    References
    ----------
    .. [1] "Get the Best of Both Worlds: Improving Accuracy and Transferability by
       Grassmann Class Representation", arXiv:2308.01547.

    Examples
    --------
    >>> import torch
    >>> from sklogit.heads import GrassmannHead
    >>> head = GrassmannHead(16, 10, subspace_dim=3)
    >>> features = torch.randn(5, 16)
    >>> logits = head(features)
    >>> logits.shape, bool((logits <= 25.0001).all())
    (torch.Size([5, 10]), True)
    >>> torch.allclose(head(-3 * features), logits, atol=1e-4)
    True
    """

    def __init__(
        self,
        in_features,
        num_classes,
        subspace_dim=8,
        gamma=25.0,
        normalize=True,
        init="random",
    ):
        super().__init__()
        check_sizes(in_features=in_features, num_classes=num_classes)
        check_positive("gamma", gamma)
        self.in_features, self.num_classes = in_features, num_classes
        self.subspace_dim = _checked_dimension(subspace_dim, in_features)
        self.gamma, self.normalize, self.init = float(gamma), normalize, init
        shape = num_classes, in_features, self.subspace_dim
        given = self._given_bases(shape)
        dtype = torch.get_default_dtype() if given is None else given.dtype
        self.subspaces = GrassmannParameter(packed(torch.empty(shape, dtype=dtype)))
        self._set_bases(given)

    def _given_bases(self, shape):
        if isinstance(self.init, str):
            if self.init != "random":
                raise ValueError(
                    "init must be 'random' or a tensor of bases, got "
                    f"{self.init!r}; for a start by principal components see "
                    "GrassmannHead.from_features."
                )
            return None
        return _checked_bases(self.init, shape)

    def reset_parameters(self):
        """Set the bases to those of `init`."""
        self._set_bases(self._given_bases(tuple(self.subspaces.shape)))

    @torch.no_grad()
    def _set_bases(self, bases):
        if bases is None:
            shape = tuple(self.subspaces.shape)
            # QR of normal matrices, in double: its Q is that of a uniform subspace.
            dtype, device = torch.float64, self.subspaces.device
            bases = orthonormalize(torch.randn(shape, device=device).to(dtype))
        self.subspaces.copy_(bases)

    @classmethod
    def from_features(
        cls,
        X,
        y,
        num_classes=None,
        *,
        subspace_dim=8,
        gamma=25.0,
        normalize=True,
        sample_weight=None,
        random_state=None,
    ):
        """Make a head that starts from the principal components of each class.

        The subspace of a class is spanned by the leading right singular vectors of its
        rows, divided by their norms and not centred. Where a class has not enough of
        them, random directions are added.

        Parameters
        ----------
        X : array-like or Tensor of shape (n_samples, in_features)
            Features.
        y : array-like or Tensor of shape (n_samples,)
            Class indices.
        num_classes : int, default=None
            Number of classes; by default the largest index, plus 1.
        subspace_dim : int or "auto", default=8
            As of the class.
        gamma : float, default=25.0
            As of the class.
        normalize : bool, default=True
            As of the class.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights.
        random_state : int, RandomState or None, default=None
            For added directions.

        Returns
        -------
        GrassmannHead
            The head, with dtype and device of X if that is a tensor of floats.

        Raises
        ------
        ValueError
            If X is not finite, X and y do not fit together, or a parameter or weight is
            not allowed.

        Examples
        --------
        >>> from sklearn.datasets import load_digits
        >>> from sklogit.heads import GrassmannHead
        >>> import torch
        >>> X, y = load_digits(return_X_y=True)
        >>> head = GrassmannHead.from_features(X, y)
        >>> accuracy = (head(torch.tensor(X)).argmax(dim=1).numpy() == y).mean()
        >>> bool(accuracy > 0.98)
        True
        """
        check_positive("gamma", gamma)
        like = torch.empty(0)
        if isinstance(X, torch.Tensor):
            if X.dtype in (torch.float32, torch.float64):
                like = X.new_empty(0)
            X = X.detach().double().cpu().numpy()
        X, y = np.asarray(X, dtype=np.float64), _as_array(y)
        num_classes = _check_labelled_rows(X, y, num_classes)
        weight = None
        if sample_weight is not None:
            weight = _checked_weight(sample_weight, y)
            kept = weight > 0
            X, y, weight = X[kept], y[kept], weight[kept]
        k = _checked_dimension(subspace_dim, X.shape[1])
        bases = principal_subspaces(
            X, y, weight, num_classes, k, 0.0, check_random_state(random_state)
        )
        bases = torch.as_tensor(bases).to(like)
        return cls(X.shape[1], num_classes, k, gamma, normalize, init=bases)

    # -- logits ------------------------------------------------------------------------

    def forward(self, features):
        """Compute the logits.

        Parameters
        ----------
        features : Tensor of shape (..., in_features)
            Features.

        Returns
        -------
        Tensor of shape (..., num_classes)
            The logits, from 0 to gamma if features are normalised.
        """
        # Autograd's backward of this is the closed form, in as many matrix products.
        # The norm has a gradient of 0 at 0.
        return self.gamma * torch.linalg.vector_norm(self.projections(features), dim=-1)

    def projections(self, features):
        """Compute the coordinates of the projections, in the bases.

        Parameters
        ----------
        features : Tensor of shape (..., in_features)
            Features.

        Returns
        -------
        Tensor of shape (..., num_classes, subspace_dim)
            Coordinates; they depend on the bases, their lengths do not.
        """
        features = features.to(self.subspaces.dtype)
        if self.normalize:
            # In half precision the least norm to divide by would be 0.
            single = torch.promote_types(features.dtype, torch.float32)
            features = _unit(features.to(single)).to(self.subspaces.dtype)
        columns = self.subspaces.mT.reshape(-1, self.in_features)
        shape = self.num_classes, self.subspace_dim
        return F.linear(features, columns).unflatten(-1, shape)

    @torch.no_grad()
    def subspace_angles(self):
        """Compute the principal angles between the subspaces of all classes.

        Returns
        -------
        ndarray of shape (num_classes, num_classes, subspace_dim)
            Angles in degrees, the smallest first.
        """
        S = self.subspaces.detach().double().cpu().numpy()
        return np.degrees(np.stack([principal_angles(one, S) for one in S]))

    # -- keeping the tag ---------------------------------------------------------------

    def _apply(self, fn, recurse=True):
        before = self.subspaces.dtype
        super()._apply(fn, recurse)
        self._tag()  # from the meta device, say, torch makes plain parameters
        if before != self.subspaces.dtype == torch.float64:
            with torch.no_grad():  # of bases that were rounded to less
                self.subspaces.copy_(orthonormalize(self.subspaces))
        return self

    def _load_from_state_dict(self, *args, **kwargs):
        super()._load_from_state_dict(*args, **kwargs)
        self._tag()  # assign=True takes a plain tensor as it is

    def _tag(self):
        found = self._parameters.get("subspaces")
        if found is not None and getattr(found, "manifold", None) is None:
            tagged = GrassmannParameter(packed(found.detach()), found.requires_grad)
            self.subspaces = tagged

    def extra_repr(self):
        """Show the sizes.

        Returns
        -------
        str
            The parameters.
        """
        return (
            f"in_features={self.in_features}, num_classes={self.num_classes}, "
            f"subspace_dim={self.subspace_dim}, gamma={self.gamma:.4g}"
        )


def _unit(features):
    """Divide rows by their norms, also where squares leave the range of numbers."""
    largest = features.detach().abs().amax(dim=-1, keepdim=True)
    return F.normalize(features / largest.clamp_min(1.0), dim=-1)


def _checked_dimension(subspace_dim, in_features):
    if isinstance(subspace_dim, str) and subspace_dim == "auto":
        subspace_dim = min(_MOST_DIMENSIONS, max(1, in_features // 2))
    check_sizes(subspace_dim=subspace_dim)
    if subspace_dim >= in_features:
        raise ValueError(
            f"subspace_dim={subspace_dim} must be less than in_features={in_features}: "
            "otherwise every subspace is the whole space, and all logits are equal."
        )
    return int(subspace_dim)


def _checked_bases(bases, shape):
    bases = torch.as_tensor(bases).detach()
    if tuple(bases.shape) != shape:
        raise ValueError(
            f"init must have shape (num_classes, in_features, subspace_dim) = {shape}, "
            f"got {tuple(bases.shape)}."
        )
    if not bases.is_floating_point():
        raise ValueError(f"init must have a dtype of real numbers, got {bases.dtype}.")
    if not bases.isfinite().all():
        raise ValueError("init must be finite, but has NaN or infinite entries.")
    if is_orthonormal(bases):
        return bases
    independent = torch.linalg.matrix_rank(bases.double()) == shape[2]
    if not independent.all():
        c = int((~independent).nonzero()[0])
        raise ValueError(
            f"init must have independent columns, but those of class {c} are not."
        )
    warnings.warn(
        "init is not orthonormal: its bases are replaced by orthonormal ones of the "
        "same subspaces.",
        stacklevel=4,
    )
    return orthonormalize(bases.double()).to(bases.dtype)


def _as_array(values):
    return (
        values.detach().cpu().numpy() if torch.is_tensor(values) else np.array(values)
    )


def _check_labelled_rows(X, y, num_classes):
    if X.ndim != 2 or y.shape != X.shape[:1]:
        raise ValueError(
            "X must have shape (n_samples, in_features) and y (n_samples,), got "
            f"{X.shape} and {y.shape}."
        )
    if not np.isfinite(X).all():
        raise ValueError("X contains NaN or infinity.")
    if y.dtype.kind not in "iu" or len(y) == 0 or y.min() < 0:
        raise ValueError(f"y must be class indices, integers from 0 on, got {y.dtype}.")
    if num_classes is None:
        return int(y.max()) + 1
    check_sizes(num_classes=num_classes)
    if y.max() >= num_classes:
        raise ValueError(f"y has the class {y.max()}, but num_classes={num_classes}.")
    return num_classes


def _checked_weight(sample_weight, y):
    weight = np.asarray(_as_array(sample_weight), dtype=np.float64)
    if weight.shape != y.shape:
        raise ValueError(
            f"sample_weight must have shape {y.shape}, got {weight.shape}."
        )
    if not ((weight >= 0) & (weight < np.inf)).all() or not weight.any():
        raise ValueError(
            "sample_weight must be finite, not negative and not zero throughout, got "
            f"values from {weight.min():.3g} to {weight.max():.3g}."
        )
    return weight
