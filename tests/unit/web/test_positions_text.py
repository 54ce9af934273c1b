"""What the page "Positions" says of a head with other positions: what stays and what goes elsewhere are 100 %."""

import pytest
import torch

from attnviz.web.positions import text


@pytest.mark.parametrize("share", [0.0, 0.0004, 0.0123, 0.0995, 0.105, 0.115, 0.5, 0.895, 0.989, 0.9949, 0.9996, 1.0])
def test_what_stays_and_what_goes_elsewhere_add_up(share: float) -> None:
    before = torch.full((4, 4), 0.25)
    after = torch.full((4, 4), share)
    said = text.attention(before, after, 0, 2, "rope", "learned")
    there, elsewhere = said.split("it gives ")[1].removesuffix(" elsewhere.").split(" there and ")
    if there.startswith("<"):
        assert elsewhere == "all but that"
    else:
        shown = [float(part.split("\u202f")[0]) for part in (there, elsewhere)]
        assert sum(shown) == pytest.approx(100) and shown[0] == pytest.approx(100 * share, abs=0.51)
