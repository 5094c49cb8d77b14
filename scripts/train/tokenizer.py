"""Make a tokenizer.model from the sentences of a table: letters, or as many pieces of words.

    python tokenizer.py texts.tsv FOLDER [--pieces 256]

FOLDER also gets mini.yaml with the number of tokens that it has: give it to `data.py --config FOLDER/mini.yaml`.
"""
import argparse
from pathlib import Path

import sentencepiece
import yaml

HERE = Path(__file__).parent
SYMBOLS = "0123456789\"()&%$€:;/+=#@*"                                            # each a piece by itself, whatever the sentences have


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pieces", type=int, help="default: letters")
    parser.add_argument("--config", type=Path, default=HERE / "mini.yaml")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    with args.texts.open(encoding="utf-8") as lines:
        sentences = [line.rstrip("\n").split("\t")[2] for line in lines]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences), model_prefix=str(args.folder / "tokenizer"), model_type="bpe" if args.pieces else "char",
        vocab_size=args.pieces or 1000, hard_vocab_limit=bool(args.pieces), character_coverage=1.0,
        user_defined_symbols=list(SYMBOLS), normalization_rule_name="nfkc_cf", minloglevel=1)           # capitals sound like others
    (args.folder / "tokenizer.vocab").unlink()
    config = yaml.safe_load(args.config.read_text())
    tokenizer = sentencepiece.SentencePieceProcessor(str(args.folder / "tokenizer.model"))
    config["flow_lm"]["lookup_table"]["n_bins"] = tokenizer.vocab_size()
    (args.folder / "mini.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    print(f"{args.folder}: {tokenizer.vocab_size()} tokens")


if __name__ == "__main__":
    main()
