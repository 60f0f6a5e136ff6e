"""
Every page of the documentation is well-formed, and leads to what is there.
"""

import pytest

from tests.e2e.pages import ROOT, Page

PAGES = [*ROOT.glob("*.rst"), *ROOT.glob("docs/**/*.rst")]


@pytest.mark.parametrize("name", [str(path.relative_to(ROOT)) for path in PAGES])
def test_a_page_has_no_fault_and_its_links_lead_somewhere(name: str) -> None:
    page = Page(name)
    assert page.tree().children
    assert page.missing_links() == []
