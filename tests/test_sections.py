"""Tables and sections as they are read: in a terminal unrendered, on a page rendered."""

from ectopy import sections
from ectopy.failures import KINDS, worst
from tests.examined import examined_of

FAILURES = tuple(
    failure for kind in KINDS for failure in worst([examined_of("100", "NVNNAN", "NNNNNN")], kind)
)


class TestMarkdown:
    def test_columns_are_aligned_names_to_the_left_and_numbers_to_the_right(self):
        text = sections.markdown({"record": ["100", "s1-001"], "F1": [97.5, 100.0]})
        assert text.splitlines() == [
            "| record |    F1 |",
            "| ------ | ----: |",
            "| 100    |  97.5 |",
            "| s1-001 | 100.0 |",
        ]

    def test_what_is_undefined_is_a_dash(self):
        text = sections.markdown({"record": ["100"], "Se": [None], "+P": [float("nan")]})
        assert text.splitlines()[-1] == "| 100    |  - |  - |"

    def test_a_table_without_rows_has_its_head(self):
        assert sections.markdown({"record": []}).splitlines() == ["| record |", "| ------ |"]


class TestSections:
    def test_a_section_has_a_title_and_paragraphs(self):
        assert sections.section("Runs", "one", "two") == "\n## Runs\n\none\n\ntwo\n"

    def test_failures_are_listed_with_their_pictures_where_there_is_a_folder_of_them(self):
        text = sections.failures(FAILURES, "model-card")
        assert "* 100, VEB: 1 missed, 0 false; shown at 302 s, V called N (100 % of these errors)" in text
        assert "![](model-card/100-veb.png)" in text
        assert "![](model-card/100-sveb.png)" in text

    def test_without_a_folder_it_is_said_where_the_strips_are(self):
        text = sections.failures(FAILURES)
        assert "![" not in text
        assert "`where-it-fails/`" in text

    def test_a_model_without_an_error_fails_nowhere(self):
        assert "No ectopic beat was missed or called falsely." in sections.failures(())
