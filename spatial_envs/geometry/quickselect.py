"""The median of a range, for trees and blocks that halve."""

from __future__ import annotations

from spatial_envs.foundation.compilation import njit


@njit
def select(keys, order, left, right, k):
    """Quickselect (Hoare 1961): keys[k] gets its place, smaller ones before it; order goes with the keys."""
    while left < right:
        pivot = keys[(left + right) // 2]
        i, j = left, right
        while i <= j:
            while keys[i] < pivot:
                i += 1
            while keys[j] > pivot:
                j -= 1
            if i <= j:
                keys[i], keys[j] = keys[j], keys[i]
                order[i], order[j] = order[j], order[i]
                i += 1
                j -= 1
        if k <= j:
            right = j
        elif k >= i:
            left = i
        else:
            return
