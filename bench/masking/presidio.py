"""Presidio's analyzer, asked in JSON lines on stdin and answering on stdout.

{"analyze": [text, ...], "entities": [...]}  ->  {"spans": [[[start, end, entity, score], ...], ...]}
{"load": [text, ...], "entities": [...]}     ->  {"loaded": n}
{"time": true}                               ->  {"seconds": s, "hits": n}: all of what was loaded, once, in processor time

Offsets are code points. The no_op engine leaves the pattern recognizers: no
model finds names, and no words in the text raise a score.
"""

import json
import logging
import sys
import time

from presidio_analyzer import AnalyzerEngine, RecognizerRegistry, predefined_recognizers
from presidio_analyzer.nlp_engine import NoOpNlpEngine

# What Presidio ships but does not load by itself: the identities of countries
# that are in the corpus.
COUNTRIES = [
    "UkNinoRecognizer", "UkPassportRecognizer", "EsNifRecognizer", "EsNieRecognizer", "ItFiscalCodeRecognizer",
    "ItPassportRecognizer", "PlPeselRecognizer", "DeTaxIdRecognizer", "DePassportRecognizer", "InAadhaarRecognizer",
    "InPassportRecognizer", "SePersonnummerRecognizer", "CaSinRecognizer", "InPanRecognizer", "AuTfnRecognizer",
    "KrRrnRecognizer", "SgFinRecognizer",
]


def engine():
    nlp = NoOpNlpEngine(models=[{"lang_code": "en", "model_name": "none"}])
    nlp.load()
    registry = RecognizerRegistry()
    registry.load_predefined_recognizers(nlp_engine=nlp)
    for name in COUNTRIES:
        registry.add_recognizer(getattr(predefined_recognizers, name)(supported_language="en"))
    return AnalyzerEngine(registry=registry, nlp_engine=nlp, supported_languages=["en"])


def main():
    logging.disable(logging.CRITICAL)
    analyzer = engine()
    loaded, wanted = [], []
    for line in sys.stdin:
        asked = json.loads(line)
        if "analyze" in asked:
            answer = {"spans": [
                [[r.start, r.end, r.entity_type, r.score] for r in analyzer.analyze(text, language="en", entities=asked["entities"])]
                for text in asked["analyze"]
            ]}
        elif "load" in asked:
            loaded, wanted = asked["load"], asked["entities"]
            answer = {"loaded": len(loaded)}
        else:
            begin, hits = time.process_time(), 0
            for text in loaded:
                hits += len(analyzer.analyze(text, language="en", entities=wanted))
            answer = {"seconds": time.process_time() - begin, "hits": hits}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
