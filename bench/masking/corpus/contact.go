package corpus

import (
	"fmt"
	"strings"
)

// email draws an address as people have them.
func (s *source) email(string) string {
	first, last := strings.ToLower(s.word("first")), strings.ToLower(s.word("last"))
	domain := s.word("domain")
	locals := []string{
		first + "." + last, first[:1] + last, first + s.mask("##"), first + "_" + last, last + "." + first,
		first + "+" + pick(s.Rand, []string{"shop", "news", "dev"}), first, "info", s.word("handle") + s.mask("#"),
		"*" + first + "-" + last, "*" + first[:1] + "." + last + "." + s.mask("####"), "*o'" + last,
	}
	local := s.format(locals)
	switch {
	case s.held && s.IntN(40) == 0:
		domain = pick(s.Rand, []string{"müller-bau.de", "köln.example", "françois.fr"})
	case s.IntN(12) == 0:
		return strings.ToUpper(local[:1]) + local[1:] + "@" + strings.ToUpper(domain[:1]) + domain[1:]
	case s.IntN(40) == 0:
		return strings.ToUpper(local + "@" + domain)
	}
	return local + "@" + domain
}

// areas are codes that are in use, by country: a checker that knows the plans
// must not find numbers that cannot be.
var areas = map[string][]string{
	"us": {"212", "415", "303", "512", "617", "206", "713", "404", "702", "312"},
	"de": {"30", "89", "40", "221", "69", "711"},
	"it": {"02", "06", "011", "051"},
}

// phoneFormats are ways to write numbers; A is an area code. What is behind a |
// is an extension.
var phoneFormats = map[string][]string{
	"us": {
		"(A) %%#-####", "A-%%#-####", "A.%%#.####", "+1 A %%# ####", "+1 (A) %%#-####", "+1-A-%%#-####", "1-A-%%#-####",
		"*+1.A.%%#.####", "*A %%# ####", "*(A)%%#-####", "*(A) %%#-####| ext. ###", "*A-%%#-####|x##", "*+1A%%#####", "*A%%#####",
	},
	"uk": {
		"020 7### ####", "07### ######", "+44 20 7### ####", "+44 7700 900###", "+44 (0)20 7### ####", "07### ### ###",
		"*0161 4## ####", "*(0113) 2## ####", "*+447700900###", "*0044 7700 900###", "*07700900###",
	},
	"de": {
		"+49 A %#######", "0A %######", "0A/%######", "0171 %######", "0151-%#######", "+49 171 %######", "+49 (0)A %#######",
		"*(0A) %#######", "*0049 A %######", "*+49A/%######-##", "*0A - %## ## ##",
	},
	"fr": {"01 4# ## ## ##", "06 %# ## ## ##", "06.%#.##.##.##", "+33 6 %# ## ## ##", "*+33 (0)1 4# ## ## ##", "*06%#######", "*06-%#-##-##-##", "*0033 6 %# ## ## ##"},
	"es": {"6## ## ## ##", "91# ### ###", "+34 6## ### ###", "*6## ### ###", "*+346########", "*93 ### ## ##"},
	"it": {"+39 A %### ####", "347 %### ###", "A %### ####", "*+39 347 %######", "*347%######", "*A/%######"},
	"pl": {"+48 60# ### ###", "60# ### ###", "60#-### -###", "*+4860#######", "*(22) 6## ## ##"},
	"nl": {"06-%#######", "+31 6 %#######", "020 6## ####", "*06 %# ## ## ##", "*+316%#######", "*(020) 6## ## ##"},
	"in": {"+91 98### #####", "98########", "*098### #####", "*+91-98########", "*+91 98########"},
	"br": {"(11) 9#### -####", "+55 11 9####-####", "(21) 9####-####", "*11 9####-####", "*+55 (11) 9####-####"},
	"jp": {"*03-3###-####", "*090-%###-####", "*+81 90-%###-####", "*03(3###)####"},
	"ch": {"*+41 44 6## ## ##", "*044 6## ## ##", "*079 4## ## ##", "*+41 (0)79 4## ## ##"},
	"au": {"*04## ### ###", "*(02) 9### ####", "*+61 4## ### ###", "*+61 2 9### ####"},
}

// internationals are formats with a + of many countries (E.164 and its usual
// groupings).
var internationals = []string{
	"+1 212 %%# ####", "+1415%%#####", "+44 20 7### ####", "+4930%#######", "+33 1 4# ## ## ##", "+34 91# ### ###", "+39 02 %### ####",
	"+31 20 6## ####", "+48 22 6## ## ##", "+91 98### #####", "+61 2 9### ####", "*+41 44 6## ## ##", "*+81 3-3###-####", "*+86 138 #### ####",
	"*+52 55 5### ####", "*+353 1 6## ####", "*+358 9 6### ####", "*+65 6### ####", "*+46 8 50# ### ##", "*+27 11 3## ####", "*+82 2-7##-####",
}

// phone draws a number of a country, arg, or of any with its code.
func (s *source) phone(arg string) value {
	formats := phoneFormats[arg]
	if arg == "e164" {
		formats = internationals
	}
	f := strings.ReplaceAll(s.format(formats), " -", "-")
	if all := areas[arg]; all != nil {
		f = strings.Replace(f, "A", pick(s.Rand, all), 1)
	}
	number, extension, _ := strings.Cut(s.mask(f), "|")
	return value{text: number, tail: extension}
}

// months as dates spell them out.
var months = map[string][]string{
	"en": strings.Fields("January February March April May June July August September October November December"),
	"de": strings.Fields("Januar Februar März April Mai Juni Juli August September Oktober November Dezember"),
	"fr": strings.Fields("janvier février mars avril mai juin juillet août septembre octobre novembre décembre"),
}

// birth draws the date of birth of somebody alive, as arg's country writes it.
func (s *source) birth(arg string) string {
	if arg == "" {
		arg = pick(s.Rand, []string{"us", "iso", "de", "long", "uk"})
	}
	y, m, d := s.between(1940, 2006), s.between(1, 12), s.between(1, 28)
	switch arg {
	case "iso":
		return fmt.Sprintf("%04d-%02d-%02d", y, m, d)
	case "de":
		return fmt.Sprintf(s.format([]string{"%02[3]d.%02[2]d.%[1]d", "%[3]d. %[4]s %[1]d", "*%[3]d.%[2]d.%[1]d"}), y, m, d, months["de"][m-1])
	case "fr":
		return fmt.Sprintf(s.format([]string{"%02[3]d/%02[2]d/%[1]d", "%[3]d %[4]s %[1]d"}), y, m, d, months["fr"][m-1])
	case "long":
		return fmt.Sprintf(s.format([]string{"%[3]d %[4]s %[1]d", "%[4]s %[3]d, %[1]d", "*%[3]dth of %[4]s %[1]d", "*%.3[4]s %[3]d, %[1]d"}), y, m, d%17+4, months["en"][m-1])
	case "uk":
		return fmt.Sprintf(s.format([]string{"%02[3]d/%02[2]d/%[1]d", "*%02[3]d-%02[2]d-%[1]d"}), y, m, d)
	}
	return fmt.Sprintf(s.format([]string{"%02[2]d/%02[3]d/%[1]d", "%[2]d/%[3]d/%[1]d", "*%02[2]d-%02[3]d-%[1]d"}), y, m, d)
}
