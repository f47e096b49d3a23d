package corpus

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// near draws what looks like something sensitive and is not.
func (s *source) near(kind string) string {
	if layouts := nearMasks[kind]; layouts != nil {
		return s.mask(s.format(layouts))
	}
	if make := nearValues[kind]; make != nil {
		return make(s)
	}
	return s.moment(kind)
}

// nearMasks are near-misses that need no more than a mask.
var nearMasks = map[string][]string{
	"order":       {"ORD-2024-0#####", "#1######", "4########0##", "%##-#######-#######", "*SO########", "*25-#####-#####"},
	"invoice":     {"INV-######", "2024/####", "RE-2025-#####", "*F2025-######", "*9#######"},
	"ticket":      {"SUP-####", "#48###", "*CS0######", "*JIRA-1####"},
	"int":         {"##", "1###", "2####", "4#####", "*7######"},
	"uuid":        {"________-____-4___-a___-____________"},
	"semver":      {"1.#.#", "v2.##.#", "0.#.##-rc1", "*3.1#.#+build.##", "*24.0#.#"},
	"buildver":    {"10.0.19045.3###", "6.1.7601.2####", "*10.0.22631.4###", "*5.15.0.1##8"},
	"sha1":        {"________________________________________", "_______"},
	"sha256":      {"________________________________________________________________"},
	"md5":         {"________________________________"},
	"trace":       {"________________", "*________________________________"},
	"epoch":       {"17########"},
	"epoch_ms":    {"17###########"},
	"zip":         {"1####", "9####-####"},
	"part":        {"PN-212-555-0###", "800-1234-###", "AX-#####-##", "*7#-###-####-B", "*C0#X00T##", "*61.21-8 3## ###"},
	"sku":         {"SKU-####-##", "B0##_####", "*A#-###-###"},
	"tracking":    {"1Z999AA1##########", "7### #### ####", "*9400 1### #### #### #### ##", "*JD01460000########", "*RR#########CN"},
	"money":       {"1,2##.##", "€4##,##", "$##.##", "*1.##9,50 EUR", "*CHF 1'###.00", "*1###.00"},
	"postcode":    {"SW1A 1AA", "M# 4BT"},
	"coords":      {"52.5####, 13.4####", "-33.86####,151.20####"},
	"float":       {"0.########", "1#.####", "3.14159265358979"},
	"ratio":       {"16:9", "1:2:3", "*10:20:30:40"},
	"ein":         {"##-#######"},
	"vat":         {"1########"},
	"queueid":     {"4F##C6A#B1", "*4Q7z##1W3gz9sXk"},
	"hexint":      {"7fff________"},
	"msgid":       {"CAF_______@mail.gmail.com", "2024####.1####.abc@mx1.example.org"},
	"uptime":      {"    4.######", "8#####.######"},
	"fingerprint": {"__:__:__:__:__:__:__:__:__:__:__:__:__:__:__:__"},
}

// nearValues are near-misses that take more: wrong or chance checksums.
var nearValues = map[string]func(*source) string{
	"card_bad": func(s *source) string {
		number := "4" + s.some(14, digits)
		return place(s.format([]string{"xxxx xxxx xxxx xxxx", "xxxxxxxxxxxxxxxx", "*xxxx-xxxx-xxxx-xxxx"}), number+another(s, luhn(number)))
	},
	"iban_bad": func(s *source) string {
		account := s.some(18, digits)
		check := 98 - mod97(account+"DE00")
		return grouped(fmt.Sprintf("DE%02d%s", 2+(check-2+s.between(1, 96))%97, account), 4, s.format([]string{" ", "", " "}))
	},
	"ssn_bad": func(s *source) string {
		return s.mask(pick(s.Rand, []string{"000-##-1###", "666-##-1###", "9##-0#-1###", "1##-00-1###", "1##-1#-0000"}))
	},
	"imei": func(s *source) string { n := "35" + s.some(12, digits); return n + luhn(n) },
	"ean": func(s *source) string {
		n := "40" + s.some(10, digits)
		return n + strconv.Itoa((10-weighted(n, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3)%10)%10)
	},
	"isbn": func(s *source) string {
		n := "9783" + s.some(8, digits)
		n += strconv.Itoa((10 - weighted(n, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3)%10) % 10)
		return place(s.format([]string{"xxx-x-xx-xxxxxx-x", "xxxxxxxxxxxxx"}), n)
	},
	"base64": func(s *source) string {
		b := []byte(s.some(s.between(20, 90), alnum))
		return base64.StdEncoding.EncodeToString(b)
	},
	"hexdump": func(s *source) string {
		return strings.Replace(s.hexBytes(16, " "), " ", "  ", s.IntN(2))
	},
}

// another draws a digit that is not the given one.
func another(s *source, digit string) string {
	n := int(digit[0] - '0')
	return itoa((n + s.between(1, 9)) % 10)
}

// moment draws a point in time in one of the forms of logs and letters.
func (s *source) moment(kind string) string {
	at := time.Unix(1_600_000_000+s.Int64N(150_000_000), s.Int64N(1e9)).UTC()
	layouts := map[string][]string{
		"ts":      {"2006-01-02T15:04:05.000Z", time.RFC3339, "2006-01-02 15:04:05,000", "*2006/01/02 15:04:05.000000"},
		"clf":     {"02/Jan/2006:15:04:05 -0700"},
		"syslog":  {time.Stamp},
		"rfcdate": {time.RFC1123Z},
		"time":    {"15:04", "15:04:05"},
		"date":    {time.DateOnly, "02.01.2006", "01/02/2006", "2 January 2006", "*02-01-2006", "*Jan 2, 2006"},
	}[kind]
	if layouts == nil {
		return ""
	}
	return at.Format(s.format(layouts))
}
