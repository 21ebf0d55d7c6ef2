"""The most probable classes of codes, without scores of all classes."""

import torch


def member_table(codes, log_shares, n_codes, width):
    """Classes of each code, the largest share first and then the lowest class.

    Parameters
    ----------
    codes : Tensor of shape (n_classes,)
        Code of each class, int32 or int64.
    log_shares : Tensor of shape (n_classes,)
        Logarithms of their shares in their codes.
    n_codes : int
        Number of codes.
    width : int
        Most members of a code to list.

    Returns
    -------
    members : Tensor of shape (n_codes, min(width, largest code))
        Class indices; 0 where a code has fewer.
    shares : Tensor of the same shape
        Logarithms of their shares; -inf there.
    """
    codes = codes.long()
    order = log_shares.argsort(descending=True, stable=True)
    order = order[codes[order].argsort(stable=True)]
    sizes = torch.bincount(codes, minlength=n_codes)
    width = min(width, int(sizes.max()))
    rank = torch.arange(width, device=codes.device)
    exists = rank < sizes[:, None]
    place = (sizes.cumsum(0) - sizes)[:, None] + rank
    members = order[torch.where(exists, place, 0)]
    shares = log_shares[members].masked_fill(~exists, -torch.inf)
    return members.masked_fill(~exists, 0), shares


def top_classes(log_p, members, shares, k):
    """Find the k most probable classes.

    A class of the k most probable is in one of the k codes whose best members are the
    most probable: each of k better codes has a better class.

    Parameters
    ----------
    log_p : Tensor of shape (n_rows, n_codes)
        Log-probabilities of the codes.
    members, shares : Tensor of shape (n_codes, width)
        Of `member_table`; the width must be that of the largest code, or k.
    k : int
        Number of classes, at most that of all classes.

    Returns
    -------
    log_probabilities : Tensor of shape (n_rows, k)
        In descending order.
    classes : Tensor of shape (n_rows, k)
        The classes.
    """
    best_of_codes = log_p + shares[:, 0]
    if k == 1:  # of equal codes max takes the first
        best = best_of_codes.max(dim=1, keepdim=True).indices
    else:
        best = best_of_codes.topk(min(k, log_p.shape[1]), dim=1).indices
    scores = (log_p.gather(1, best).unsqueeze(2) + shares[best]).flatten(1)
    values, places = scores.topk(k, dim=1)
    return values, members[best].flatten(1).gather(1, places)
