package approval

import "github.com/sluice-gateway/sluice/access"

func mayApprove(r *Request, who *access.Principal) *access.Error { return errUnbuilt }
