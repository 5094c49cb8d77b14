"""Train a tokenizer on the sentences of a table: single letters, or BPE with a number of pieces.

    python tokenizer.py texts.tsv FOLDER [--pieces 256]      # FOLDER/tokenizer.model, FOLDER/mini.yaml

Use it with train.py --config FOLDER/mini.yaml. The default is the English tokenizer of the bundled model.
"""

import argparse
from pathlib import Path

import sentencepiece
import yaml
from texts import read_texts

HERE = Path(__file__).parent
SYMBOLS = '0123456789"()&%$€:;/+=#@*'  # each is a piece, even if the sentences do not contain it
MAX_LETTERS = 1000  # largest number of different letters


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pieces", type=int, help="number of BPE pieces (default: letters)")
    parser.add_argument("--config", type=Path, default=HERE / "mini.yaml")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([sentence.text for sentence in read_texts(args.texts).values()]),
        model_prefix=str(args.folder / "tokenizer"),
        model_type="bpe" if args.pieces else "char",
        vocab_size=args.pieces or MAX_LETTERS,
        hard_vocab_limit=bool(args.pieces),
        character_coverage=1.0,
        user_defined_symbols=list(SYMBOLS),
        normalization_rule_name="nfkc_cf",  # case folding: capital letters sound the same
        minloglevel=1,
    )
    (args.folder / "tokenizer.vocab").unlink()
    config = yaml.safe_load(args.config.read_text())
    tokenizer = sentencepiece.SentencePieceProcessor(str(args.folder / "tokenizer.model"))
    config["flow_lm"]["lookup_table"] |= {"n_bins": tokenizer.vocab_size(), "tokenizer_path": "tokenizer.model"}
    (args.folder / "mini.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    print(f"{args.folder}: {tokenizer.vocab_size()} tokens")


if __name__ == "__main__":
    main()
