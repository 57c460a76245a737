"""Where ptychofold departs from the reference on purpose: the one list of it.

Each line has a test ``test_NUMBER_…`` that fails if the deviation disappears, in `test_deviations` or ``tests/compat``.


| #  | reference                                     | ours                             | why                    |
|----|-----------------------------------------------|----------------------------------|------------------------|
| 1  | C > 1: Y is cut at 2·mean − position          | cut at the member's own position | another pattern's      |
| 2  | nn_indices int32 or int64 by path             | int32                            | contract text          |
| 3  | gridsize=None reads a global                  | 1                                | documented default     |
| 4  | diffraction keeps uint16 (or float64)         | float32 amplitude                | squares wrapped        |
| 5  | a split leaves indices and offsets unsplit    | everything is split together     | defect                 |
| 6  | coords_true is from the start positions       | from the corrected positions     | defect                 |
| 7  | seed=None draws from the process-wide stream  | a fresh local seed, logged       | reproducibility        |
| 8  | wrong lengths, sizes, NaN pass or fail inside | one clear error at the door      | one door               |
| 9  | from_file ignores Y                           | used                             | ground truth           |
| 10 | torch grouping: no seed, repeats, −1          | seeded, no repeats, no −1        | defects                |
| 11 | coordinates keep the dtype of the file        | float64                          | contract text          |
| 12 | from_file refuses the name ``diffraction``    | both names are read              | contract text          |
| 13 | PtychoDataset refuses files without an object | only where it is supervised      | not needed             |
| 14 | C = 1: indices count inner points, centers 0  | scan indices, positions          | defect                 |
| 15 | load_data needs xcoords_start                 | defaults to the positions        | as from_file           |
| 16 | YY_full is None though the object is known    | the object                       | contract text          |
| 17 | com is the last file's                        | one row an experiment            | defect                 |

"""

MIRRORED_TRUTH = frozenset({"g24_object_gs2"})
"""Cases of deviation 1: their Y is compared after mirroring back."""
