package models

// demoText is what the model "tokens" says. The person does not exist; the
// card's number is the one that its network publishes for tests, and the
// security number has never been given out. They are there to be masked.
const demoText = "Thank you for calling. I have found the customer's record and can read it back to you now. " +
	"The contact on file is jane.doe@example.com, which was confirmed in the spring. " +
	"The last order was paid with the card 4111 1111 1111 1111, and the payment went through. " +
	"For the tax form we have the number 536-90-4399 from last year. " +
	"Is there anything in this record that you would like me to change?"

// widths are how many bytes the chunks have, over and over: short, so that
// each of the three above lies in several, and uneven, as tokens are.
var widths = [...]int{4, 3, 6, 2, 5}

// cut cuts s, which is ASCII, into chunks.
func cut(s string) []string {
	var chunks []string
	for i := 0; s != ""; i++ {
		n := min(widths[i%len(widths)], len(s))
		chunks, s = append(chunks, s[:n]), s[n:]
	}
	return chunks
}
