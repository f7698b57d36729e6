import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import RecipeError
from schemas.recipe import Recipe, check, read_recipe

GOOD = """
name: forums
inputs:
  - source: stackexchange
    path: dumps
"""


def read(tmp_path, text):
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    return read_recipe(path)


def test_the_shortest_recipe(tmp_path):
    recipe = read(tmp_path, GOOD)
    assert (recipe.name, recipe.view, recipe.dedupe.bands, recipe.splits.train) == ("forums", "worldpm", 14, 0.9)


@pytest.mark.parametrize(
    ("addition", "message"),
    [
        ("veiw: worldpm", r"unknown key `veiw`; did you mean `view`\?"),
        ("dedupe: {bandz: 3}", r"unknown key `dedupe.bandz`; did you mean `bands`\?"),
        ("splits: {train: 0.9, test: 0.2}", r"`splits`: the shares sum to 1.15; they must sum to 1"),
        ("partitions: {slice_mib: 0}", r"`partitions.slice_mib`: .*greater than 0"),
        ("seed: soon", r"`seed`: .*integer"),
        ("release: {files: many}", r"`release.files"),
        ("name: ../escape", r"`name`: .*pattern"),
        ("pairs: 3", r"`pairs`"),
        ("judge: {extra: {seed: 1, top_k: 5, n: 2}}", r"`judge.extra`: `n`, `seed` cannot be set here.*`reasoning_"),
        ("judge: {serve: {gpu_memory: 2}}", r"`judge.serve.gpu_memory`: .*1"),
    ],
)
def test_a_wrong_recipe_says_which_key_and_what_would_be_right(tmp_path, addition, message):
    text = GOOD.replace("name: forums\n", "") if addition.startswith("name") else GOOD
    with pytest.raises(RecipeError, match=message) as caught:
        read(tmp_path, f"{text}\n{addition}\n")
    assert str(tmp_path / "recipe.yaml") in str(caught.value)


def test_a_misspelt_key_of_an_input_is_named_with_its_place(tmp_path):
    with pytest.raises(RecipeError) as caught:
        read(tmp_path, "name: a\ninputs: [{source: x, paht: y}]")
    lines = str(caught.value).splitlines()
    assert any("unknown key `inputs.0.paht`; did you mean `path`?" in line for line in lines)
    assert len(lines) == 2  # that one, and the key that is missing


@pytest.mark.parametrize("text", ["", "- a\n- b", "just words", "a: [", "\t: x", "name: !!python/object:os.system x"])
def test_what_is_no_recipe_is_refused(tmp_path, text):
    with pytest.raises(RecipeError, match=r"recipe\.yaml"):
        read(tmp_path, text)


def test_bytes_that_are_no_text_are_refused(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_bytes(b"name: \xff\xfe")
    with pytest.raises(RecipeError, match="not YAML"):
        read_recipe(path)
    with pytest.raises(RecipeError, match="cannot be read"):
        read_recipe(tmp_path / "absent.yaml")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=8,
    )
)
def test_any_values_that_are_no_recipe_give_a_recipe_error(values):
    with pytest.raises(RecipeError, match=r"^here: "):
        check(Recipe, values, "here")


def test_yaml_dates_are_refused_with_a_reason(tmp_path):
    with pytest.raises(RecipeError, match="holds text, numbers, lists and mappings only"):
        read(tmp_path, f"{GOOD}\nsalt: 2020-01-01\n")
