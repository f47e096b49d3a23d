package corpus

import "strconv"

// luhn computes the check digit of ISO/IEC 7812-1, annex B, for number.
func luhn(number string) string {
	sum := 0
	for i := range len(number) {
		d := int(number[len(number)-1-i] - '0')
		if i%2 == 0 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return strconv.Itoa((10 - sum%10) % 10)
}

// mod97 is the remainder of a decimal number, letters being 10 to 35 (ISO 7064,
// as ISO 13616 uses it).
func mod97(number string) int {
	rest := 0
	for i := range len(number) {
		switch c := number[i]; {
		case c >= '0' && c <= '9':
			rest = (rest*10 + int(c-'0')) % 97
		default:
			rest = (rest*100 + int(c-'A') + 10) % 97
		}
	}
	return rest
}

// weighted is the sum of digits times weights.
func weighted(number string, weights ...int) int {
	sum := 0
	for i, w := range weights {
		sum += int(number[i]-'0') * w
	}
	return sum
}

// mod1110 computes the check digit of ISO 7064, MOD 11,10.
func mod1110(number string) string {
	product := 10
	for i := range len(number) {
		sum := (int(number[i]-'0') + product) % 10
		if sum == 0 {
			sum = 10
		}
		product = sum * 2 % 11
	}
	return strconv.Itoa((11 - product) % 10)
}

// The dihedral group D5 and the permutation of Verhoeff's check digit (J.
// Verhoeff, Error Detecting Decimal Codes, 1969).
var (
	dihedral = [10]string{
		"0123456789", "1234067895", "2340178956", "3401289567", "4012395678",
		"5987604321", "6598710432", "7659821043", "8765932104", "9876543210",
	}
	verhoeffOrder   = [8]string{"0123456789", "1576283094", "5803796142", "8916043527", "9453126870", "4286573901", "2793806415", "7046913258"}
	verhoeffInverse = "0432156789"
)

// verhoeff computes Verhoeff's check digit.
func verhoeff(number string) string {
	c := byte('0')
	for i := range len(number) {
		digit := number[len(number)-1-i] - '0'
		c = dihedral[c-'0'][verhoeffOrder[(i+1)%8][digit]-'0']
	}
	return string(verhoeffInverse[c-'0'])
}
