"""Tables of any column names as golden sets: CSV, JSON Lines and Parquet."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldwatch.golden.error import GoldenError
from goldwatch.golden.examples import Examples
from goldwatch.golden.opened import GoldenSet
from goldwatch.ipc.judging_jobs import FreezeExamplesRequest
from goldwatch.probe import TensorSpec
from goldwatch.worker.evaluators.examples import Examples as Read
from goldwatch.worker.jobs.examples import frozen
from goldwatch.worker.sources.checks import personal
from goldwatch.worker.sources.roles import Roles
from goldwatch.worker.sources.sampling import sample
from goldwatch.worker.sources.table import opened

ROWS = [
    {"age": 31, "income": 1.5, "city": "Rome", "churn": "no"},
    {"age": 47, "income": 2.0, "city": "Oslo", "churn": "yes"},
    {"age": 19, "income": -3.25, "city": "Rome", "churn": "no"},
]
SCORES = (("scores", "float32", (2,)),)
VECTOR = (TensorSpec("x", "float32", (2,)),)


def write(file: Path, rows: list[dict[str, Any]]) -> Path:
    """Write rows in the format of the suffix."""
    if file.suffix == ".jsonl":
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif file.suffix == ".parquet":
        pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        parquet.write_table(pa.Table.from_pylist(rows), file, row_group_size=2)
    else:
        with file.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, rows[0], delimiter="\t" if file.suffix == ".tsv" else ",")
            writer.writeheader()
            writer.writerows(rows)
    return file


def made(file: Path, to: Path, *mapped: tuple[str, str], **more: Any) -> tuple[GoldenSet, str]:
    """Freeze a file without a model; return the set and what was noted."""
    examples = Examples(file, "set", "CC0-1.0", "made up", columns=mapped, **more)
    notes = frozen(FreezeExamplesRequest(examples, str(to)), [], lambda _: None).notes
    return GoldenSet.open(to), "\n".join(notes)


def refused(file: Path, *mapped: tuple[str, str], **more: Any) -> str:
    with pytest.raises(GoldenError) as error:
        made(file, file.with_name("refused"), *mapped, **more)
    return str(error.value)


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "parquet"])
def test_a_table_of_features_is_frozen_whatever_its_format(tmp_path: Path, suffix: str) -> None:
    file = write(tmp_path / f"rows.{suffix}", ROWS)
    mapped = [("label", "churn"), ("slice.city", "city")]
    golden, notes = made(file, tmp_path / "set", *mapped, takes=VECTOR, outputs=SCORES)
    assert "input x = age, income; label = churn; slice city = city" in notes
    assert golden.tensor("inputs.x").tolist() == [[31, 1.5], [47, 2], [19, -3.25]]
    assert golden.tensor("inputs.x").dtype == np.float32
    assert golden.manifest.labels is not None
    assert golden.manifest.labels.classes == ("no", "yes")
    assert golden.tensor("labels").tolist() == [0, 1, 0]
    assert golden.tensor("slices.city").tolist() == [1, 0, 1]


def test_columns_are_inputs_by_name_if_the_model_takes_them_so(tmp_path: Path) -> None:
    file = write(tmp_path / "rows.csv", ROWS)
    takes = (TensorSpec("income", "float64", (1,)), TensorSpec("age", "int64", (1,)), TensorSpec("city", "bytes", (1,)))
    golden, _ = made(file, tmp_path / "set", ("label", "churn"), takes=takes, outputs=SCORES)
    assert golden.tensor("inputs.age").tolist() == [[31], [47], [19]]
    assert golden.tensor("inputs.income").dtype == np.float64
    assert golden.text("inputs.city")[:].tolist() == ["Rome", "Oslo", "Rome"]
    golden.check_values()


def test_vectors_are_joined_in_the_order_that_is_named(tmp_path: Path) -> None:
    file = write(tmp_path / "rows.csv", ROWS)
    golden, _ = made(file, tmp_path / "set", ("inputs.x", "income+age"), ("drop", "city"), ("label", "churn"))
    assert golden.tensor("inputs.x").tolist() == [[1.5, 31], [2, 47], [-3.25, 19]]
    everything, _ = made(file, tmp_path / "all", ("inputs.x", "*"), ("label", "churn"))
    assert everything.tensor("inputs.x").shape == (3, 2)
    rows = [{"embedding": [1.0, 2.0], "y": 0.5}, {"embedding": [3.0, 4.0], "y": 0.25}]
    for suffix in ("jsonl", "parquet"):
        vectors = write(tmp_path / f"vectors.{suffix}", rows)
        of_vectors, _ = made(vectors, tmp_path / suffix, outputs=(("value", "float32", (1,)),))
        assert of_vectors.tensor("inputs.embedding").tolist() == [[1, 2], [3, 4]]
        assert of_vectors.tensor("labels").tolist() == [[0.5], [0.25]]


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_questions_of_the_usual_names_are_recognised(tmp_path: Path, suffix: str) -> None:
    rows = [{"query": f"{i}?", "ground_truth": f"a{i}", "context": f"c{i}", "response": "old", "id": i} for i in (1, 2)]
    golden, notes = made(write(tmp_path / f"rows.{suffix}", rows), tmp_path / "set")
    assert "input prompt = query; expected = ground_truth; identity = id; field context = context" in notes
    assert "left out: response" in notes
    assert [line["answers"] for line in golden.lines()] == [["a1"], ["a2"]]
    assert [line["inputs"] for line in golden.lines()] == [{"prompt": "1?"}, {"prompt": "2?"}]
    assert [golden.identity(i) for i in (0, 1)] == ["1", "2"]
    golden.check_values()
    assert golden.manifest.fields == ("context",)
    assert golden.manifest.format == 6
    read = Read(golden).readers({"documents": "fields.context"}, {})["documents"]
    assert (read(0), read(1)) == ("c1", "c2")


def test_members_of_objects_and_lists_of_answers_can_be_mapped(tmp_path: Path) -> None:
    rows = [{"data": {"q": f"{i}?"}, "answers": {"text": ["one", "1"], "start": [0, 5]}} for i in range(2)]
    mapped = [("input", "data.q"), ("expected", "answers.text"), ("cluster.start", "answers.start")]
    for suffix in ("jsonl", "parquet"):
        golden, _ = made(write(tmp_path / f"rows.{suffix}", rows), tmp_path / suffix, *mapped)
        assert [line["answers"] for line in golden.lines()] == [["one", "1"]] * 2
        assert golden.clusters == (1, 2)


def test_texts_with_a_label_are_for_a_classifier(tmp_path: Path) -> None:
    rows = [{"text": "good", "label": "pos", "lang": "en"}, {"text": "bad", "label": "neg", "lang": "en"}]
    mapped = [("slice.lang", "lang")]
    golden, _ = made(write(tmp_path / "rows.csv", rows), tmp_path / "set", *mapped, outputs=SCORES)
    golden.check_values()
    assert golden.manifest.labels is not None
    assert golden.manifest.labels.classes == ("neg", "pos")
    assert golden.tensor("labels").tolist() == [1, 0]
    assert golden.text("inputs.prompt")[:].tolist() == ["good", "bad"]
    lines = [{"inputs": {"prompt": row["text"]}, "label": row["label"], "slices": {"lang": "en"}} for row in rows]
    own, _ = made(write(tmp_path / "own.jsonl", lines), tmp_path / "own", outputs=SCORES)
    assert own.digest == golden.digest
    vectors = (("embedding", "float32", (3,)),)
    unlabelled, _ = made(write(tmp_path / "plain.csv", [{"text": "a"}, {"text": "b"}]), tmp_path / "e", outputs=vectors)
    assert str(unlabelled.task) == "embedding"


@pytest.mark.parametrize(
    ("row", "mapped", "problem"),
    [
        (
            {"query": "?", "question": "?"},
            [],
            'columns "query" and "question" may each be the input; say which by --map',
        ),
        (
            {"prompt": "?", "target": "a", "reference": "b"},
            [],
            "may each be the expected; say which by --map expected=",
        ),
        ({"question": "?", "answer": "a"}, [], 'column "answer" may be the right answer, or an answer that some model'),
        ({"prompt": "?"}, [("input", "promt")], '--map input: there is no column "promt"; did you mean "prompt"?'),
        ({"prompt": "?"}, [("output", "prompt")], '--map: "output" is no role; expected one of input, inputs.NAME'),
        ({"a": {"b": 1}}, [], "has no column of inputs; name it by --map; it has a, a.b"),
        ({"prompt": "?", "label": "x", "expected": "y"}, [], 'columns "label" and "expected" may each be the expected'),
    ],
)
def test_what_may_mean_two_things_is_one_error(
    tmp_path: Path, row: dict[str, Any], mapped: list[tuple[str, str]], problem: str
) -> None:
    assert problem in refused(write(tmp_path / "rows.jsonl", [row]), *mapped)


def test_missing_values_are_refused_with_their_lines(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text('age,note,label\n1,"two\nlines",a\n,x,b\n3,y,\nNA,z,a\n')
    said = refused(file, ("drop", "note"), outputs=SCORES)
    assert '2 of 4 rows have no "age" (lines 4, 6); fill it, or leave these rows out' in said
    assert '1 of 4 rows have no "label" (line 5)' in said
    rows = [{"query": f"{i}?", "expected": None if i % 2 else "a"} for i in range(20)]
    said = refused(write(tmp_path / "rows.jsonl", rows))
    assert '10 of 20 rows have no "expected" (lines 2, 4, 6, 8, 10 and 5 more)' in said
    parquet = write(tmp_path / "rows.parquet", [{"a": 1, "y": 0}, {"a": None, "y": 1}])
    assert '1 of 2 rows have no "a" (row 2)' in refused(parquet, outputs=SCORES)


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (b"a,b\n1,2,3\n", "line 2: has 3 values, the header 2 names"),
        (b'a,b\n1,2\n"3,4\n', "line 3: no CSV: unexpected end of data"),
        (b"a,a\n1,2\n", 'has two columns named "a"'),
        (b"a,b\n1,\xff\n", "line 2, byte 3: not UTF-8"),
        (b"a,b\n", "holds no example"),
        (b"\n", "line 1 has no names of columns"),
    ],
)
def test_a_file_that_is_no_csv_is_refused_with_the_line(tmp_path: Path, raw: bytes, problem: str) -> None:
    (tmp_path / "rows.csv").write_bytes(raw)
    assert problem in refused(tmp_path / "rows.csv")


def test_a_value_that_the_input_of_the_model_cannot_hold_is_refused(tmp_path: Path) -> None:
    file = write(tmp_path / "rows.csv", [{"n": 1.0, "y": 0}, {"n": 2.5, "y": 1}])
    said = refused(file, takes=(TensorSpec("n", "int64", ()),), outputs=SCORES)
    assert 'line 3: "n" is 2.5, which int64 does not hold' in said
    wide = write(tmp_path / "wide.csv", [{"a": 1, "b": 2, "c": 3, "y": 0}])
    assert "the model takes x: float32 [2], and 3 columns are features: a, b, c" in refused(wide, takes=VECTOR)
    image = (TensorSpec("n", "float32", (3,)),)
    said = refused(file, ("inputs.n", "n"), takes=image, outputs=SCORES)
    assert 'the model takes n: float32 [3], and "n" has one number a row' in said
    codes = write(tmp_path / "codes.csv", [{"n": "007", "y": 0}])
    assert 'the model takes n: float32, and column "n" is text' in refused(codes, ("inputs.n", "n"), takes=image)
    pytest.importorskip("pyarrow")
    (tmp_path / "no.parquet").write_bytes(b"PAR1 and nothing")
    assert "no.parquet: cannot be read: " in refused(tmp_path / "no.parquet")


@given(
    st.lists(
        st.tuples(st.text(alphabet='a,;\t"\n|é ', min_size=1).filter(str.strip), st.integers(-(2**60), 2**60)),
        min_size=1,
        max_size=20,
    )
)
def test_a_csv_gives_back_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, int]]
) -> None:
    file = write(tmp_path_factory.mktemp("csv") / "rows.csv", [{"word": word, "n": n} for word, n in rows])
    table = opened(file)
    found = [
        pair
        for block in table.blocks(["word", "n"])
        for pair in zip(block.values["word"], [int(n) for n in block.values["n"]], strict=True)
    ]
    assert found == rows
    lines = [json.dumps(row).count("\\n") + 1 for row, _ in rows]
    assert [table.place(i) for i in range(len(rows))] == [f"line {2 + sum(lines[:i])}" for i in range(len(rows))]


def test_repeated_rows_and_a_label_among_the_features_are_refused(tmp_path: Path) -> None:
    rows = [{"a": i % 3, "b": i % 2, "y": i % 2} for i in range(9)]
    said = refused(write(tmp_path / "rows.csv", rows), outputs=SCORES)
    assert (
        'column "b" equals the label "y" in every row, so the model is told it; leave it out, by --map drop=b' in said
    )
    said = refused(write(tmp_path / "rows.csv", rows), ("drop", "b"), outputs=SCORES)
    assert "3 of 9 rows repeat an earlier one (lines 8, 9, 10)" in said
    questions = [{"query": "?", "expected": "a"}, {"query": "?", "expected": "b"}, {"query": "?", "expected": "a"}]
    assert "1 of 3 rows repeat an earlier one (line 3)" in refused(write(tmp_path / "rows.jsonl", questions))
    _, notes = made(write(tmp_path / "two.jsonl", questions[:2]), tmp_path / "set")
    assert "1 inputs appear with several labels" in notes


def test_texts_that_give_away_the_answer_or_a_person_are_warned_of(tmp_path: Path) -> None:
    rows = [
        {"query": "Paris is the capital of what? Not Paris.", "expected": "Paris"},
        {"query": "Write to ann@example.org", "expected": "done"},
        {"query": "2 + 2?", "expected": "4"},
    ]
    _, notes = made(write(tmp_path / "rows.jsonl", rows), tmp_path / "set")
    assert "warning: 1 of 3 rows have the expected text within the input, where the model can copy it (line 1)" in notes
    assert "warning: 1 of 3 rows seem to hold personal data, an e-mail address (line 2)" in notes


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("pay 4111 1111 1111 1111 now", ["a card number"]),
        ("order 4111 1111 1111 1112", []),
        ("to GB82 WEST 1234 5698 7654 32.", ["an IBAN"]),
        ("to GB83 WEST 1234 5698 7654 32.", []),
        ("call +49 30 901820", ["a telephone number"]),
        ("2 + 2 = 4, 1+1, @home", []),
    ],
)
def test_numbers_of_cards_and_accounts_are_known_by_their_check_digits(text: str, kinds: list[str]) -> None:
    assert list(personal(text)) == kinds


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xy")), min_size=2, max_size=60), st.data())
def test_a_sample_keeps_the_share_of_each_stratum(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]], data: st.DataObject
) -> None:
    size = data.draw(st.integers(1, len(rows)))
    file = write(
        tmp_path_factory.mktemp("rows") / "rows.csv", [{"n": i, "k": k, "s": s} for i, (k, s) in enumerate(rows)]
    )
    table, examples = opened(file), Examples(file, "set", "CC0-1.0", "made up", size=size)
    roles = Roles(label="k", slices={"s": "s"})
    found, said = sample(table, roles, examples)
    assert f"{size} of {len(rows)} rows, stratified by k, s, seed 0" in said
    drawn = [int(n) for block in found.blocks(["n"]) for n in block.values["n"]]
    assert len(drawn) == len(set(drawn)) == size == found.rows
    assert drawn == sorted(drawn)
    assert [found.place(i) for i in range(size)] == [table.place(n) for n in drawn]
    for stratum in set(rows):
        exact = size * rows.count(stratum) / len(rows)
        assert abs(sum(rows[n] == stratum for n in drawn) - exact) < 1
    again, _ = sample(table, roles, examples)
    assert [int(n) for block in again.blocks(["n"]) for n in block.values["n"]] == drawn


def test_how_a_sample_was_drawn_is_in_the_manifest(tmp_path: Path) -> None:
    file = write(tmp_path / "rows.csv", [{"x": i, "y": i % 2} for i in range(40)])
    golden, _ = made(file, tmp_path / "set", size=10, seed=3, outputs=SCORES)
    assert golden.manifest.provenance.notes == "a random sample of 10 of 40 rows, stratified by y, seed 3"
    assert np.bincount(golden.tensor("labels")).tolist() == [5, 5]
    assert "--size is 41, and it has 40 rows" in refused(file, size=41)
    own = write(tmp_path / "own.jsonl", [{"inputs": {"prompt": "?"}}])
    assert "--size draws rows of a table, and line 1 is an example" in refused(own, size=1)


def hugging_face(folder: Path, rows: list[dict[str, Any]], names: list[str]) -> Path:
    """Write a folder as `datasets.Dataset.save_to_disk` does: Arrow streams, with the features in the schema."""
    pa = pytest.importorskip("pyarrow")
    features = {"label": {"names": names, "_type": "ClassLabel"}, "text": {"dtype": "string", "_type": "Value"}}
    folder.mkdir()
    table = pa.Table.from_pylist(rows).replace_schema_metadata(
        {"huggingface": json.dumps({"info": {"features": features}})}
    )
    files = []
    for part in range(2):
        files.append({"filename": f"data-0000{part}-of-00002.arrow"})
        half = table.slice(part * 2, 2)
        with pa.OSFile(str(folder / files[-1]["filename"]), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as out:
            out.write_table(half)
    (folder / "state.json").write_text(json.dumps({"_data_files": files, "_split": "test"}))
    return folder


def test_a_folder_of_hugging_face_datasets_keeps_the_names_of_its_classes(tmp_path: Path) -> None:
    rows = [{"text": f"t{i}", "label": i % 2} for i in range(4)]
    folder = hugging_face(tmp_path / "test", rows, ["neg", "pos"])
    golden, notes = made(folder, tmp_path / "set", outputs=SCORES)
    assert "input prompt = text; label = label" in notes
    assert golden.manifest.labels is not None
    assert golden.manifest.labels.classes == ("neg", "pos")
    assert golden.tensor("labels").tolist() == [0, 1, 0, 1]
    answers, _ = made(folder, tmp_path / "answers", ("expected", "label"))
    assert [line["answers"] for line in answers.lines()] == [["neg"], ["pos"]] * 2
    assert "has test; name the folder or file of one of them" in refused(tmp_path)
    hub = tmp_path / "hub"
    hub.mkdir()
    for part in range(2):
        write(hub / f"test-0000{part}-of-00002.parquet", rows[2 * part : 2 * part + 2])
    shards, _ = made(hub, tmp_path / "shards", outputs=SCORES)
    assert shards.text("inputs.prompt")[:].tolist() == ["t0", "t1", "t2", "t3"]
    write(hub / "train-00000-of-00001.parquet", rows)
    assert "has test, train; name the folder or file of one of them" in refused(hub)
    (folder / "state.json").write_text("{}")
    assert "is no dataset that save_to_disk wrote" in refused(folder)


@pytest.mark.parametrize("rare", ["no", "yes"])
def test_a_sample_keeps_each_class_however_many_strata_are_smaller_than_a_row_of_it(tmp_path: Path, rare: str) -> None:
    other = {"no": "yes", "yes": "no"}[rare]
    rows = [{"n": i, "k": rare if i % 10 < 4 else other, "region": f"r{i // 10}"} for i in range(200)]
    file = write(tmp_path / "rows.csv", rows)
    table, roles = opened(file), Roles(label="k", slices={"region": "region"})
    regions = np.zeros(20)
    for seed in range(100):
        found, _ = sample(table, roles, Examples(file, "set", "CC0-1.0", "made up", size=20, seed=seed))
        drawn = [rows[int(n)] for block in found.blocks(["n"]) for n in block.values["n"]]
        assert sum(row["k"] == rare for row in drawn) == 8
        regions += np.bincount([int(str(row["region"])[1:]) for row in drawn], minlength=20)
    assert np.abs(regions / 100 - 1).max() < 0.3  # one row a region on average, with a deviation of at most 0.07


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_names_are_kept_as_they_are_written(tmp_path: Path, suffix: str) -> None:
    big = 2**62 + 1
    rows = [
        {"query": f"{i}?", "expected": 7 + i, "id": big + i if i else None, "patient": big + i // 2 or None, "site": i}
        for i in range(3)
    ]
    mapped = [("cluster.patient", "patient"), ("slice.site", "site")]
    golden, _ = made(write(tmp_path / f"rows.{suffix}", rows), tmp_path / "set", *mapped)
    assert [line["answers"] for line in golden.lines()] == [["7"], ["8"], ["9"]]
    assert [golden.identity(i) for i in range(3)] == ["", str(big + 1), str(big + 2)]
    assert golden.manifest.slices["site"].values == ("0", "1", "2")
    assert golden.tensor("clusters").tolist()[0] == golden.tensor("clusters").tolist()[1]
    assert golden.tensor("clusters").tolist()[1] != golden.tensor("clusters").tolist()[2]


def test_numbers_of_a_csv_that_are_names_keep_every_character(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("query,expected,version, when\na,3.10,3.10,2023_01\nb,-007,3.1,2023_02\nc,1e3,NA,202303\n")
    golden, _ = made(file, tmp_path / "set", ("slice.version", "version"), ("slice.when", "when"))
    assert [line["answers"] for line in golden.lines()] == [["3.10"], ["-007"], ["1e3"]]
    assert golden.manifest.slices["version"].values == ("3.1", "3.10")
    assert golden.tensor("slices.version").tolist() == [1, 0, -1]
    assert golden.manifest.slices["when"].values == ("202303", "2023_01", "2023_02")
    codes = " -07", "1_0", "\u0661", "1" * 65
    for code in codes:
        file.write_text(f"code\n{code}\n")
        assert opened(file).columns["code"].kind == "text"


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_labels_of_true_and_false_are_classes(tmp_path: Path, suffix: str) -> None:
    rows = [{"x": 1.5, "label": "true"}, {"x": 2.5, "label": "false"}]
    if suffix != "csv":
        rows = [{**row, "label": row["label"] == "true"} for row in rows]
    golden, _ = made(write(tmp_path / f"rows.{suffix}", rows), tmp_path / "set", outputs=SCORES)
    assert golden.manifest.labels is not None
    assert golden.manifest.labels.classes == ("false", "true")
    assert golden.tensor("labels").tolist() == [1, 0]


def test_a_vector_is_of_numbers_alone(tmp_path: Path) -> None:
    rows = [{"age": i, "city": f"c{i}", "job": f"j{i}", "y": i % 2} for i in range(4)]
    file = write(tmp_path / "rows.csv", rows)
    for joined in ("city+age", "age+city", "city+job"):
        said = refused(file, ("inputs.x", joined), ("label", "y"), outputs=SCORES)
        assert '--map inputs.x: a vector is of numbers alone, and column "city" is none' in said
    said = refused(file, ("inputs.x", "*"), ("inputs.c", "city"), ("drop", "age"), outputs=SCORES)
    assert "--map inputs.x: a vector is of numbers alone, and no column is left that has some" in said
    mapped = [("inputs.a", "age"), ("inputs.c", "city"), ("inputs.j", "job")]
    golden, _ = made(file, tmp_path / "set", *mapped, outputs=SCORES)
    assert golden.tensor("inputs.a").tolist() == [0, 1, 2, 3]
    assert golden.text("inputs.c")[:].tolist() == ["c0", "c1", "c2", "c3"]
    assert golden.text("inputs.j")[:].tolist() == ["j0", "j1", "j2", "j3"]


def test_joined_numbers_are_not_rounded(tmp_path: Path) -> None:
    rows = [{"key": 2**40 + i, "part": 0.1, "y": i % 2} for i in range(4)]
    golden, _ = made(write(tmp_path / "rows.csv", rows), tmp_path / "set", ("inputs.x", "key+part"), outputs=SCORES)
    assert golden.tensor("inputs.x").tolist() == [[2**40 + i, 0.1] for i in range(4)]


def test_a_right_answer_is_neither_an_empty_list_nor_an_object(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"query": f"{i}?", "expected": each} for i, each in enumerate(([], ["a", None], "b"))]
    assert '2 of 3 rows have no "expected" (lines 1, 2)' in refused(write(tmp_path / "rows.jsonl", rows))
    features = [{"x": i, "label": []} for i in range(2)]
    assert '2 of 2 rows have no "label" (lines 1, 2)' in refused(write(tmp_path / "rows.jsonl", features))
    squad = [{"question": f"{i}?", "answers": {"text": ["a"], "answer_start": [1]}} for i in range(2)]
    said = refused(write(tmp_path / "squad.jsonl", squad))
    assert 'column "answers" holds objects; name the right member by --map expected=answers.text' in said


@pytest.mark.parametrize(
    ("mapped", "problem"),
    [
        ([("label", "a"), ("label", "y")], '--map: "label" is given twice'),
        ([("inputs.x", "a"), ("inputs.x", "y")], '--map: "inputs.x" is given twice'),
        ([("inputs.labels", "a"), ("label", "y")], 'an input cannot be called "labels"'),
        ([("label", "y")], 'column "target" may be the right answer too, and would be an input of the model; write'),
        ([("label", "y"), ("inputs.x", "*")], "write --map drop=target, or name the inputs"),
    ],
)
def test_roles_that_would_hide_or_leak_a_column_are_refused(
    tmp_path: Path, mapped: list[tuple[str, str]], problem: str
) -> None:
    file = write(tmp_path / "rows.csv", [{"a": i, "y": i % 2, "target": i % 3} for i in range(4)])
    assert problem in refused(file, *mapped, outputs=SCORES)


def test_a_label_of_decimals_among_the_features_is_found_in_their_type(tmp_path: Path) -> None:
    rows = [{"a": i / 10, "b": i / 7, "y": i / 10} for i in range(9)]
    value = (("value", "float32", (1,)),)
    said = refused(write(tmp_path / "rows.csv", rows), takes=VECTOR, outputs=value)
    assert 'column "a" equals the label "y" in every row' in said


def test_names_of_classes_and_slices_are_bounded(tmp_path: Path) -> None:
    rows = [{"x": i, "label": "n" * 201} for i in range(2)]
    said = refused(write(tmp_path / "rows.csv", rows), outputs=SCORES)
    assert 'line 2: "label" has 201 characters, expected the name of a class or slice, up to 200' in said
    lines = [{"inputs": {"prompt": "?"}, "label": "n" * 201}]
    assert "label has 201 characters" in refused(write(tmp_path / "own.jsonl", lines), outputs=SCORES)
    lines = [{"inputs": {"prompt": "?"}, "slices": {"note": "n" * 201}}]
    assert "slices.note has 201 characters" in refused(write(tmp_path / "own.jsonl", lines))


def test_own_lines_may_be_called_ndjson(tmp_path: Path) -> None:
    file = tmp_path / "rows.ndjson"
    file.write_text('{"inputs": {"prompt": "?"}, "answers": ["a"]}\n')
    golden, _ = made(file, tmp_path / "set")
    assert next(iter(golden.lines()))["answers"] == ["a"]


def test_a_long_text_without_an_address_is_searched_in_linear_time() -> None:
    assert list(personal("a" * 300_000 + "@")) == []
    assert list(personal("." * 70 + " ann.lee+x@mail.example.org")) == ["an e-mail address"]


def test_a_class_number_that_the_file_does_not_name_is_no_class(tmp_path: Path) -> None:
    for at, (number, problem) in enumerate(
        [
            (-1, '1 of 4 rows have no "label" (row 4)'),
            (None, '1 of 4 rows have no "label" (row 4)'),
            (2, 'row 4: "label" is 2, and the file names 2 classes, from 0'),
        ]
    ):
        rows = [{"text": f"t{i}", "size": i, "label": i % 2 if i < 3 else number} for i in range(4)]
        folder = hugging_face(tmp_path / str(at), rows, ["neg", "pos"])
        assert problem in refused(folder, outputs=SCORES)
        assert problem in refused(folder, ("expected", "label"))
        assert problem in refused(folder, ("inputs.size", "size"), ("label", "label"), outputs=SCORES)


def test_parts_whose_names_are_numbers_are_one_split_and_bytes_are_refused_by_the_row(tmp_path: Path) -> None:
    hub = tmp_path / "hub"
    hub.mkdir()
    for part in range(2):
        write(hub / f"000{part}.parquet", [{"text": f"t{part}", "image": {"bytes": b"x"}}])
    golden, _ = made(hub, tmp_path / "set")
    assert golden.text("inputs.prompt")[:].tolist() == ["t0", "t1"]
    assert "row 1: holds bytes; an example is numbers, text or JSON" in refused(hub, ("inputs.image", "image"))


def test_batches_of_arrow_are_read_some_rows_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("goldwatch.worker.sources.parquet.ROWS_AT_ONCE", 1)
    table = opened(hugging_face(tmp_path / "test", [{"text": f"t{i}", "label": 0} for i in range(4)], ["neg"]))
    found = [(block.start, *block.values["text"]) for block in table.blocks(["text"])]
    assert found == [(0, "t0"), (1, "t1"), (2, "t2"), (3, "t3")]


def test_what_cannot_be_frozen_is_told_by_the_line_of_the_file(tmp_path: Path) -> None:
    rows = [{"query": f"{i}?", "expected": "Rome" if i < 9 else "\ud800"} for i in range(10)]
    file = write(tmp_path / "rows.jsonl", rows)
    seed = next(
        seed
        for seed in range(100)
        if sample(opened(file), Roles(), Examples(file, "s", "CC0", "x", size=2, seed=seed))[0].place(1) == "line 10"
    )
    assert "cannot be frozen: line 10: " in refused(file, size=2, seed=seed)


def test_a_long_value_of_a_csv_is_read(tmp_path: Path) -> None:
    golden, _ = made(write(tmp_path / "rows.csv", [{" query ": "q" * 200_000, "expected": "a"}]), tmp_path / "set")
    assert len(golden.text("inputs.prompt")[0]) == 200_000
    assert "no CSV: field larger than field limit" in refused(write(tmp_path / "rows.csv", [{"query": "q" * 2**21}]))
