package main

import (
	"bufio"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	pb "github.com/sluice-gateway/sluice/gen/sluice/v1"
)

func newLinkSlackCmd() *cobra.Command {
	var f clientFlags
	var yes bool
	cmd := &cobra.Command{
		Use:   "link-slack CODE [--yes]",
		Short: "Let your buttons in Slack decide for you",
		Long: `Link-slack links the user of Slack who was shown the code to you: until the link
ends, the buttons that he presses decide in your name, with the groups that you
have now. It says who that is and asks before it does so. A code that somebody
else has sent you would let him speak for you.`,
		Example: `  sluice approvals link-slack 4jt2wq3hbdyzmx5r6k7acnp2se`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return misused(cmd, "give the one code that Slack has shown")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := f.dial(cmd)
			if err != nil {
				return err
			}
			defer func() { _ = r.Close() }()
			link := pb.NewIdentityServiceClient(r).LinkSlack
			whose, err := ask(cmd, r, link, &pb.LinkSlackRequest{Code: args[0]})
			if err != nil {
				return err
			}
			if !yes && !agrees(cmd, fmt.Sprintf("Let the user %s (%s, team %s) of Slack decide in your name?", shown(whose.GetUserName()), shown(whose.GetUserId()), shown(whose.GetTeamId()))) {
				return fmt.Errorf("nothing was linked")
			}
			done, err := ask(cmd, r, link, &pb.LinkSlackRequest{Code: args[0], Confirm: true})
			if err != nil {
				return err
			}
			if f.output == "json" {
				return printJSON(cmd.OutOrStdout(), false, done)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "linked: %s (%s) in Slack is you; the link ends %s\n", shown(done.GetUserName()), shown(done.GetUserId()), ago(done.GetExpiresAt(), time.Now()))
			return err
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

// agrees asks a question; all but a yes is a no.
func agrees(cmd *cobra.Command, question string) bool {
	fmt.Fprint(cmd.ErrOrStderr(), question+" [y/N] ")
	answer, _ := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
	answer = strings.ToLower(strings.TrimSpace(answer))
	return answer == "y" || answer == "yes"
}

func newUnlinkSlackCmd() *cobra.Command {
	var f clientFlags
	cmd := &cobra.Command{
		Use:     "unlink-slack",
		Short:   "Let no button in Slack decide for you any more",
		Long:    `Unlink-slack ends all links between users of Slack and you.`,
		Example: `  sluice approvals unlink-slack`,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := f.dial(cmd)
			if err != nil {
				return err
			}
			defer func() { _ = r.Close() }()
			done, err := ask(cmd, r, pb.NewIdentityServiceClient(r).UnlinkSlack, &pb.UnlinkSlackRequest{})
			if err != nil {
				return err
			}
			if f.output == "json" {
				return printJSON(cmd.OutOrStdout(), false, done)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s ended\n", count(int(done.GetUnlinked()), "link"))
			return err
		},
	}
	f.add(cmd)
	return cmd
}
