// Package masking decides what of a model's answers a caller gets to see, and
// changes the answers accordingly, tensor by tensor, in whole answers and in
// streams.
//
// [Compile] turns the masking rules of policy files into a [Policy]; an [Engine]
// holds the one in force. For each call, [Engine.Plan] says what is masked for a
// caller of a model, nil for nothing:
//
//   - [Plan.Request] refuses requests whose answers could not be masked.
//   - [Plan.Unary] masks an answer, [Plan.Text] an error's text.
//   - [Plan.Answers] is the state of one streamed request, whose answers
//     [Answers.Mask] masks and [Answers.Flush] ends.
//
// A message in which nothing is masked is returned itself: it is neither
// decoded nor copied. What can't be read is refused, never passed on.
//
// What is found in a text is package detect's business; this package knows
// rules, tensors and what is done to a match. It opens no sockets: who asks an
// analyzer service is given to it ([Analyzer]; package presidio is one).
package masking
