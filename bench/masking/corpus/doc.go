// Package corpus makes texts like those that people and programs write, and
// says where in them something sensitive stands: support tickets, logs, JSON
// lines, mails, forms, chats in several languages, and near-misses such as order
// numbers, hashes and card numbers with a wrong check digit.
//
// The texts are made from templates (templates/*.txt) and from values drawn with
// a seed; the same seed makes the same texts on every machine. Of its two parts
// one is for development: whoever works on a detector may read it. The other is
// held out: it has templates and formats of its own, and is what is reported.
// Neither follows the detectors, and no detector may follow the held-out part.
//
// The checksums that a value needs are computed here once more, from the
// documents that define them and not with the detectors' code.
package corpus
