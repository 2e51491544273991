"""What municipal cameras notice by themselves: pulled by ONVIF PullPoint, kept, told, measured."""
