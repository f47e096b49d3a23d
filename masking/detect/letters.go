package detect

import "strings"

// National numbers with letters. The scores are those of their check letters:
// one letter of 23 or 26 lets one in so many pass by chance, which together with
// the form is little.

// ukNINO: national insurance numbers; some letters and prefixes are never
// given (HMRC, NIM39110).
var ukNINO = newLetterID(Info{Entity: "UK_NINO", Description: "British national insurance numbers"}, []letterForm{
	{pattern: "LLDDDDDDL", gaps: "2468", spaced: true, score: 0.6, valid: func(n string) bool {
		if strings.ContainsAny(n[:1], "DFIQUV") || strings.ContainsAny(n[1:2], "DFIOQUV") || n[8] > 'D' {
			return false
		}
		switch n[:2] {
		case "BG", "GB", "KN", "NK", "NT", "TN", "ZZ":
			return false
		}
		return true
	}},
}, "ni", "nino", "insurance")

// esNIF: DNI of citizens and NIE of foreigners, the letter modulus 23.
var esNIF = newLetterID(Info{Entity: "ES_NIF", Description: "Spanish DNI and NIE numbers"}, []letterForm{
	{pattern: "DDDDDDDDL", gaps: "258", score: 0.6, valid: func(n string) bool { return nifLetter(n[:8]) == n[8] }},
	{pattern: "LDDDDDDDL", gaps: "1258", score: 0.7, valid: func(n string) bool {
		i := strings.IndexByte("XYZ", n[0])
		return i >= 0 && nifLetter(string(rune('0'+i))+n[1:8]) == n[8]
	}},
}, "dni", "nie", "nif")

func nifLetter(digits string) byte {
	v := 0
	for i := range len(digits) {
		v = v*10 + int(digits[i]-'0')
	}
	return "TRWAGMYFPDXBNJZSQVHLCKE"[v%23]
}

// itFiscalCode: codice fiscale, with the control letter (DM 23/12/1976).
var itFiscalCode = newLetterID(Info{Entity: "IT_FISCAL_CODE", Description: "Italian fiscal codes"}, []letterForm{
	{pattern: "LLLLLLDDLDDLDDDL", score: 0.9, valid: func(n string) bool {
		const odd = "BAFHJNPRTVCESULDGIMOQKWZYX" // values of characters in odd places, as letters
		sum := 0
		for i := range 15 {
			v := int(n[i] - 'A')
			if is(n[i], isDigit) {
				v = int(n[i] - '0')
			}
			if i%2 == 0 {
				v = int(odd[v] - 'A')
			}
			sum += v
		}
		return strings.IndexByte("ABCDEHLMPRST", n[8]) >= 0 && n[15] == byte('A'+sum%26)
	}},
}, "codice", "fiscale")

// inPAN: permanent account numbers; the fourth letter is the holder's kind.
var inPAN = newLetterID(Info{Entity: "IN_PAN", Description: "Indian permanent account numbers"}, []letterForm{
	{pattern: "LLLLLDDDDL", score: 0.6, valid: func(n string) bool { return strings.IndexByte("PCHABGJLFT", n[3]) >= 0 }},
}, "pan", "permanent account")

// sgNRIC: identity numbers of Singapore, the check letter modulus 11.
var sgNRIC = newLetterID(Info{Entity: "SG_NRIC", Description: "Singapore NRIC and FIN numbers"}, []letterForm{
	{pattern: "LDDDDDDDL", score: 0.7, valid: func(n string) bool {
		sum := 0
		for i, weight := range []int{2, 7, 6, 5, 4, 3, 2} {
			sum += int(n[1+i]-'0') * weight
		}
		switch n[0] {
		case 'S', 'T':
			return "JZIHGFEDCBA"[(sum+4*int(n[0]-'S'))%11] == n[8]
		case 'F', 'G':
			return "XWUTRQPNMLK"[(sum+4*int(n[0]-'F'))%11] == n[8]
		}
		return false
	}},
}, "nric", "fin", "identity")

// passport: what stands behind a word for passport and looks like a number of
// one; without such a word there is nothing to tell them by.
var passport = newLetterID(Info{Entity: "PASSPORT", Description: "passport numbers, in context"}, []letterForm{
	{pattern: "DDDDDDDDD", score: 0.2},
	{pattern: "DDDDDDDD", score: 0.2},
	{pattern: "LDDDDDDDD", score: 0.2},
	{pattern: "LDDDDDDD", score: 0.2},
	{pattern: "LDDDDDDDDD", score: 0.2},
	{pattern: "LLDDDDDDD", score: 0.2},
	{pattern: "LLDDDDDD", score: 0.2},
	{pattern: "LLLDDDDDD", score: 0.2},
	{pattern: "DDLLDDDDD", score: 0.2},
	{pattern: "LDDAAAAAA", score: 0.2}, // Germany
}, "passport*", "reisepass*", "passnummer", "pass-nr", "passeport*", "pasaporte*", "passaporto*", "paspoort*", "paszport*")
