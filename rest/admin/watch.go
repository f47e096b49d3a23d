package admin

import (
	"net/http"

	"google.golang.org/grpc/status"

	pb "github.com/sluice-gateway/sluice/gen/sluice/v1"
	"github.com/sluice-gateway/sluice/rest"
)

// watch answers with a line of JSON for each answer of the stream, and with an error
// as the last one if it ends by one.
func (d *Door) watch(_ http.ResponseWriter, r *http.Request, _ map[string]string) {
	x := exchangeOf(r.Context())
	stream, err := d.conn.Open(r.Context(), pb.ApprovalService_WatchApprovals_FullMethodName)
	if err != nil {
		x.fail(err)
		return
	}
	defer stream.Close()
	if err := stream.SendMsg(&source{x, new(pb.WatchApprovalsRequest)}); err == nil {
		_ = stream.CloseSend()
	}
	// The header comes as soon as the watch is taken, which may be long before there
	// is something to tell.
	header, _ := stream.Header()
	wrote := len(header) > 0
	if wrote {
		x.Header().Set("Content-Type", lines)
		x.WriteHeader(http.StatusOK)
		if x.flush() != nil {
			return
		}
	}
	for {
		answer := new(pb.WatchApprovalsResponse)
		err := stream.RecvMsg(answer)
		if err != nil {
			x.end(err, wrote)
			return
		}
		line, err := encode(answer)
		if err != nil {
			return
		}
		if _, err := x.Write(line); err != nil || x.flush() != nil {
			return // the caller has gone
		}
	}
}

// end answers what a stream ended by.
func (x *exchange) end(err error, wrote bool) {
	if !wrote {
		x.fail(err)
		return
	}
	st := status.Convert(err)
	x.failLine(st, rest.SetDetails(make(http.Header), st, rest.StatusOf(st.Code())))
}
