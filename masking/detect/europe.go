package detect

// National numbers of Europe that have digits only. One check digit lets a tenth
// of all numbers pass, so where the form says nothing else a number by itself
// scores too little, and a word before it decides.

// ukNHS: National Health Service numbers, modulus 11 (NHS Data Dictionary).
var ukNHS = newNumberID(Info{Entity: "UK_NHS", Description: "British NHS numbers, in context"}, numberForm{
	digits: 10, shapes: []string{"334"}, alone: 0.15, apart: 0.2,
	valid: func(v []byte) bool {
		check := 11 - weighted(v, 10, 9, 8, 7, 6, 5, 4, 3, 2)%11
		return !allEqual(v) && check%11 == int(v[9])
	},
}, "nhs*", "patient*", "health service")

// deTaxID: Identifikationsnummer, ISO 7064 MOD 11,10; of its first ten digits
// exactly one is there two or three times (§ 139b AO, BZSt).
var deTaxID = newNumberID(Info{Entity: "DE_TAX_ID", Description: "German tax identification numbers, in context"}, numberForm{
	digits: 11, shapes: []string{"2333"}, alone: 0.3, apart: 0.45,
	valid: func(v []byte) bool {
		var count [10]int
		product := 10
		for _, d := range v[:10] {
			count[d]++
			sum := (int(d) + product) % 10
			if sum == 0 {
				sum = 10
			}
			product = sum * 2 % 11
		}
		repeated := 0
		for _, n := range count {
			if n > 3 {
				return false
			}
			if n > 1 {
				repeated++
			}
		}
		return v[0] != 0 && repeated == 1 && (11-product)%10 == int(v[10])
	},
}, "steuer*", "idnr", "identifikationsnummer", "tin", "tax")

// frNIR: numéro de sécurité sociale, modulus 97 (INSEE). Corsica's letters are
// not read.
var frNIR = newNumberID(Info{Entity: "FR_NIR", Description: "French social security numbers"}, numberForm{
	digits: 15, shapes: []string{"1222332"}, alone: 0.6, apart: 0.8,
	valid: func(v []byte) bool {
		month := twoDigits(v[3:])
		sex := v[0] == 1 || v[0] == 2 || v[0] == 3 || v[0] == 4 || v[0] == 7 || v[0] == 8
		return sex && month >= 1 && (month <= 12 || month >= 20) && 97-value(v[:13])%97 == value(v[13:15])
	},
}, "sécurité", "nir", "insee")

// nlBSN: burgerservicenummer, the eleven test.
var nlBSN = newNumberID(Info{Entity: "NL_BSN", Description: "Dutch citizen service numbers, in context"}, numberForm{
	digits: 9, shapes: []string{"423", "333"}, alone: 0.15, apart: 0.2,
	valid: func(v []byte) bool {
		return !allEqual(v) && weighted(v, 9, 8, 7, 6, 5, 4, 3, 2, -1)%11 == 0
	},
}, "bsn*", "burgerservice*", "sofi*")

// plPESEL: the date of birth with the century in the month, and a check digit.
var plPESEL = newNumberID(Info{Entity: "PL_PESEL", Description: "Polish PESEL numbers, in context"}, numberForm{
	digits: 11, alone: 0.4,
	valid: func(v []byte) bool {
		sum := weighted(v, 1, 3, 7, 9, 1, 3, 7, 9, 1, 3)
		return dayOfYear(twoDigits(v[2:])%20, twoDigits(v[4:])) && (10-sum%10)%10 == int(v[10])
	},
}, "pesel*")

// chAHV: AHV/AVS numbers begin with Switzerland's code and end like an EAN-13.
var chAHV = newNumberID(Info{Entity: "CH_AHV", Description: "Swiss AHV/AVS numbers"}, numberForm{
	digits: 13, shapes: []string{"3442"}, alone: 0.5, apart: 0.85,
	valid: func(v []byte) bool {
		return value(v[:3]) == 756 && weighted(v, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1)%10 == 0
	},
}, "ahv*", "avs", "avs-nr", "sozialversicherung*")

// beNRN: rijksregisternummer, the date of birth and modulus 97, with a 2 before
// it from the year 2000 on.
var beNRN = newNumberID(Info{Entity: "BE_NRN", Description: "Belgian national register numbers"}, numberForm{
	digits: 11, shapes: []string{"22232"}, alone: 0.4, apart: 0.75,
	valid: func(v []byte) bool {
		n, check := value(v[:9]), value(v[9:11])
		return dayOfYear(twoDigits(v[2:])%20, twoDigits(v[4:])) && (97-n%97 == check || 97-(2000000000+n)%97 == check)
	},
}, "rijksregister*", "registre", "national", "nrn", "insz")

// sePNR: personnummer, the date of birth and a Luhn digit.
var sePNR = newNumberID(Info{Entity: "SE_PNR", Description: "Swedish personal numbers"}, numberForm{
	digits: 10, shapes: []string{"64"}, alone: 0.2, apart: 0.55,
	valid: func(v []byte) bool {
		return dayOfYear(twoDigits(v[2:]), twoDigits(v[4:])%60) && luhn(v)
	},
}, "personnummer*", "pnr", "personal")
