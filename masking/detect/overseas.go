package detect

// National numbers of other continents that have digits only; what europe.go
// says of scores holds here.

// brCPF: cadastro de pessoas físicas, two check digits modulus 11.
var brCPF = newNumberID(Info{Entity: "BR_CPF", Description: "Brazilian CPF numbers"}, numberForm{
	digits: 11, shapes: []string{"3332"}, alone: 0.35, apart: 0.8,
	valid: func(v []byte) bool {
		check := func(n int) int {
			sum := 0
			for i, d := range v[:n] {
				sum += int(d) * (n + 1 - i)
			}
			return sum * 10 % 11 % 10
		}
		return !allEqual(v) && check(9) == int(v[9]) && check(10) == int(v[10])
	},
}, "cpf*", "cadastro", "contribuinte")

// inAadhaar: twelve digits, Verhoeff's check digit (UIDAI).
var inAadhaar = newNumberID(Info{Entity: "IN_AADHAAR", Description: "Indian Aadhaar numbers, in context"}, numberForm{
	digits: 12, shapes: []string{"444"}, alone: 0.2, apart: 0.4,
	valid: func(v []byte) bool { return v[0] >= 2 && verhoeff(v) },
}, "aadhaar*", "aadhar*", "uidai", "uid")

// caSIN: social insurance numbers, a Luhn digit.
var caSIN = newNumberID(Info{Entity: "CA_SIN", Description: "Canadian social insurance numbers, in context"}, numberForm{
	digits: 9, shapes: []string{"333"}, alone: 0.15, apart: 0.3,
	valid: func(v []byte) bool { return v[0] != 0 && v[0] != 8 && luhn(v) },
}, "sin", "social insurance", "nas")

// auTFN: tax file numbers, modulus 11 (ATO).
var auTFN = newNumberID(Info{Entity: "AU_TFN", Description: "Australian tax file numbers, in context"}, numberForm{
	digits: 9, shapes: []string{"333"}, alone: 0.15, apart: 0.3,
	valid: func(v []byte) bool { return !allEqual(v) && weighted(v, 1, 4, 3, 7, 5, 8, 6, 9, 10)%11 == 0 },
}, "tfn*", "tax file*")

// krRRN: resident registration numbers, the date of birth and a check digit.
var krRRN = newNumberID(Info{Entity: "KR_RRN", Description: "Korean resident registration numbers"}, numberForm{
	digits: 13, shapes: []string{"67"}, alone: 0.3, apart: 0.65,
	valid: func(v []byte) bool {
		sum := weighted(v, 2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5)
		return dayOfYear(twoDigits(v[2:]), twoDigits(v[4:])) && v[6] >= 1 && v[6] <= 8 && (11-sum%11)%10 == int(v[12])
	},
}, "rrn", "resident*", "주민등록*", "주민*")

// verhoeff tells whether the last digit is Verhoeff's check digit, which
// multiplies in the dihedral group of order ten.
func verhoeff(v []byte) bool {
	c := 0
	for i := range v {
		d := int(v[len(v)-1-i])
		for range i % 8 {
			d = int("1576283094"[d] - '0')
		}
		c = dihedral(c, d)
	}
	return c == 0
}

// dihedral is the product of a and b in the group of the turns (0 to 4) and
// mirrorings (5 to 9) of a pentagon.
func dihedral(a, b int) int {
	switch {
	case a < 5 && b < 5:
		return (a + b) % 5
	case a < 5:
		return (a+b)%5 + 5
	case b < 5:
		return (a-b)%5 + 5
	}
	return (a - b + 5) % 5
}
