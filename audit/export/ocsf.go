package export

import (
	"fmt"
	"strconv"

	"google.golang.org/grpc/codes"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/audit"
)

// What OCSF 1.6.0 calls things.
const (
	ocsfVersion     = "1.6.0"
	ocsfClass       = 6003
	ocsfCategory    = 6
	ocsfUnknown     = 0
	ocsfCreate      = 1
	ocsfRead        = 2
	ocsfUpdate      = 3
	ocsfDelete      = 4
	ocsfOther       = 99
	ocsfInfo        = 1
	ocsfLow         = 2
	ocsfMedium      = 3
	ocsfHigh        = 4
	ocsfSuccess     = 1
	ocsfFailure     = 2
	ocsfUser        = 1
	ocsfService     = 4
	nobody          = "unknown" // a required name of who or what is not known
	gatewayItself   = "sluice"
	ocsfResourceTyp = "model"
)

// activity is a record as OCSF's API Activity, class 6003.
type activity struct {
	ActivityID   int           `json:"activity_id"`
	ActivityName string        `json:"activity_name,omitempty"`
	CategoryUID  int           `json:"category_uid"`
	ClassUID     int           `json:"class_uid"`
	TypeUID      int           `json:"type_uid"`
	SeverityID   int           `json:"severity_id"`
	Time         int64         `json:"time"` // ms
	Duration     int64         `json:"duration"`
	StatusID     int           `json:"status_id"`
	StatusCode   string        `json:"status_code,omitempty"`
	StatusDetail string        `json:"status_detail,omitempty"`
	Message      string        `json:"message,omitempty"`
	Count        uint64        `json:"count,omitempty"`
	Metadata     metadata      `json:"metadata"`
	Actor        actor         `json:"actor"`
	API          api           `json:"api"`
	SrcEndpoint  endpoint      `json:"src_endpoint"`
	DstEndpoint  *endpoint     `json:"dst_endpoint,omitempty"`
	Resources    []resource    `json:"resources,omitempty"`
	Unmapped     *audit.Record `json:"unmapped,omitempty"`
}

type metadata struct {
	Version        string   `json:"version"`
	Product        product  `json:"product"`
	UID            string   `json:"uid"`
	Sequence       uint64   `json:"sequence"`
	LogName        string   `json:"log_name,omitempty"`
	CorrelationUID string   `json:"correlation_uid,omitempty"`
	EventCode      string   `json:"event_code,omitempty"`
	Profiles       []string `json:"profiles,omitempty"`
}

type product struct {
	Name       string `json:"name"`
	VendorName string `json:"vendor_name"`
}

type actor struct {
	User    *user    `json:"user,omitempty"`
	Session *session `json:"session,omitempty"`
	AppName string   `json:"app_name,omitempty"`
}

type user struct {
	UID    string `json:"uid,omitempty"`
	Name   string `json:"name,omitempty"`
	Domain string `json:"domain,omitempty"`
	TypeID int    `json:"type_id"`
	Groups []name `json:"groups,omitempty"`
}

type name struct {
	Name string `json:"name"`
}

type session struct {
	UID    string `json:"uid"`
	Issuer string `json:"issuer,omitempty"`
}

type api struct {
	Operation string    `json:"operation"`
	Service   *name     `json:"service,omitempty"`
	Request   *uid      `json:"request,omitempty"`
	Response  *response `json:"response,omitempty"`
}

type uid struct {
	UID string `json:"uid"`
}

type response struct {
	Code    int    `json:"code"`
	Error   string `json:"error,omitempty"`
	Message string `json:"message,omitempty"`
}

type endpoint struct {
	IP   string `json:"ip,omitempty"`
	Name string `json:"name,omitempty"`
}

type resource struct {
	Name    string `json:"name"`
	Type    string `json:"type"`
	Version string `json:"version,omitempty"`
}

func newActivity(r *audit.Record) activity {
	does := does(r)
	a := activity{
		ActivityID: does, ActivityName: r.Verb, CategoryUID: ocsfCategory, ClassUID: ocsfClass, TypeUID: 100*ocsfClass + does,
		SeverityID: severity(r), Time: r.Time.UnixMilli(), Duration: r.Duration.Milliseconds(),
		StatusID: ocsfSuccess, StatusCode: r.Verdict.String(), StatusDetail: r.Reason, Message: r.Detail, Count: r.Count,
		Metadata: metadata{
			Version: ocsfVersion, Product: product{"Sluice", "Sluice"}, UID: fmt.Sprintf("%s/%d", r.Replica, r.Seq),
			Sequence: r.Seq, LogName: r.Replica, CorrelationUID: r.Call, EventCode: r.Kind.String(),
		},
		Actor: actorOf(r), API: apiOf(r), SrcEndpoint: endpoint{Name: nobody}, Unmapped: r,
	}
	if failed(r) {
		a.StatusID = ocsfFailure
	}
	switch {
	case r.Peer.IsValid():
		a.SrcEndpoint = endpoint{IP: r.Peer.String()}
	case itself(r):
		a.SrcEndpoint = endpoint{Name: gatewayItself}
	}
	if r.Backend != "" {
		a.DstEndpoint = &endpoint{Name: r.Backend}
	}
	if r.Model != "" {
		a.Resources = []resource{{Name: r.Model, Type: ocsfResourceTyp, Version: r.Version}}
	}
	return a
}

// does is what kind of thing was done.
func does(r *audit.Record) int {
	switch r.Verb {
	case access.Load.String(), access.LoadOverride.String():
		return ocsfCreate
	case access.Unload.String():
		return ocsfDelete
	case access.Trace.String(), access.Log.String(), access.Shm.String(), access.Approve.String(), access.BreakGlass.String(), access.Admin.String():
		return ocsfUpdate
	case "":
		return ocsfOther
	case access.None.String():
		return ocsfUnknown
	default:
		return ocsfRead
	}
}

// failed tells whether what was asked for was not done.
func failed(r *audit.Record) bool {
	switch r.Verdict {
	case audit.Denied, audit.Failed, audit.Held:
		return true
	case audit.Allowed: // also of strangers' probes
		return false
	}
	return r.Kind == audit.KindLoginFailed || r.Kind == audit.KindStrangers || r.Kind == audit.KindGap
}

func severity(r *audit.Record) int {
	switch {
	case r.Kind == audit.KindGap, r.Approval != nil && r.Approval.BreakGlass:
		return ocsfHigh
	case r.Kind == audit.KindLoginFailed, r.Kind == audit.KindStrangers && failed(r), r.Verdict == audit.Denied:
		return ocsfMedium
	case failed(r):
		return ocsfLow
	default:
		return ocsfInfo
	}
}

// itself tells whether the gateway did it, and nobody outside.
func itself(r *audit.Record) bool {
	switch r.Kind {
	case audit.KindReload, audit.KindStart, audit.KindStop, audit.KindGap, audit.KindPrune:
		return true
	}
	return false
}

// actorOf always names somebody: the class requires an actor.
func actorOf(r *audit.Record) actor {
	if r.PrincipalID() == "" {
		if itself(r) {
			return actor{AppName: gatewayItself}
		}
		return actor{User: &user{Name: nobody, TypeID: ocsfUnknown}}
	}
	u := &user{UID: r.PrincipalID(), Name: r.Name, Domain: r.Issuer, TypeID: ocsfUser}
	if r.UserKind == string(access.Service) {
		u.TypeID = ocsfService
	}
	for _, g := range r.Groups {
		u.Groups = append(u.Groups, name{g})
	}
	a := actor{User: u}
	if r.Session != "" {
		a.Session = &session{UID: r.Session, Issuer: r.Issuer}
	}
	return a
}

// apiOf always names an operation: the class requires one.
func apiOf(r *audit.Record) api {
	a := api{Operation: r.RPC, Response: &response{Code: int(r.Status), Error: r.Reason}}
	if a.Operation == "" {
		a.Operation = r.Kind.String()
	}
	if a.Operation == "" {
		a.Operation = nobody
	}
	if r.Status != 0 {
		a.Response.Message = codes.Code(r.Status).String()
	}
	if r.Door != "" {
		a.Service = &name{r.Door}
	}
	if id := r.Request; id != "" {
		a.Request = &uid{id}
	} else if r.Call != "" {
		a.Request = &uid{r.Call + "." + strconv.FormatUint(r.Seq, 10)}
	}
	return a
}
