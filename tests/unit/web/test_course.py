"""The order of the lessons."""

from attnviz.web import course


def test_what_a_lesson_needs_comes_before_it() -> None:
    places = [chapter.page for chapter in course.CHAPTERS]
    assert len(set(places)) == len(places)
    for place, chapter in enumerate(course.CHAPTERS):
        assert set(chapter.needs) <= set(places[:place]), chapter


def test_next_goes_through_all_lessons() -> None:
    page, way = "explore", ["explore"]
    while (following := course.after(page)) is not None:
        way.append(page := following.page)
    assert way == [chapter.page for chapter in course.CHAPTERS]
    assert course.after("models") is None
